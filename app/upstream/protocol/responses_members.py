"""The members of an answer of /responses, plain or in events, as a record holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from typing import Any

from .content import LABELS, Latest, said, says_anything, spoken, text_of
from .members import finish_reason
from .parts import Text
from .room import Room

TEXT = "response.output_text.delta"
ITEM = "response.output_item"
_PLACE = ("output_index", "content_index", "summary_index", "item_id")
_ENVELOPE = frozenset({"type", "sequence_number", "delta", "response", "logprobs", "obfuscation", "receipt", *_PLACE})
SHELL = LABELS | {"id"}
"""What an item has besides what it says. Its id means nothing without the server's store."""
MAX_ID = 500
Slot = tuple[Any, ...]
"""An event's type, without its last word if it has no delta; and its place in the answer."""


def recorded_output(output: list[Any]) -> tuple[Any, str]:
    """*output* as a record holds it, and the text in it: only the text if there is nothing else."""
    messages = [item for item in output if isinstance(item, dict) and item.get("type") == "message"]
    text = "".join(text_of(item.get("content")) or "" for item in messages)
    is_text = len(messages) == len(output) and "".join(said(output, SHELL)) == text
    return (text if is_text else output), text


def finish_of(response: dict[str, Any]) -> str | None:
    """Why a response ended."""
    details = response.get("incomplete_details")
    return finish_reason(details.get("reason") if isinstance(details, dict) else response.get("status"))


def response_id_of(response: dict[str, Any]) -> str | None:
    """The name under which the server may keep it; None for one that no request could name."""
    value = response.get("id")
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isprintable() else None


class Gathered:
    """What the events of a stream delivered: the texts in pieces, joined, and all other members."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._texts: dict[Slot, Text] = {}
        self._values = Latest(SHELL, room)  # by their slots
        self._raw: list[bytes] = []

    def add(self, event: dict[str, Any]) -> None:
        """Take the JSON object of an event."""
        kind, delta = event.get("type"), spoken(event.get("delta"))
        slot: Slot = (kind, *map(event.get, _PLACE))
        try:
            hash(slot)
        except TypeError:  # an object where a number or a name should stand
            slot = tuple(map(str, slot))
        if type(delta) is str:
            if (known := self._texts.get(slot)) is not None:
                known.add(delta)
            else:
                self._texts[slot] = Text(delta)
                self._room.take()
            if event.keys() <= _ENVELOPE and "response" not in event:
                return
        members = {name: value for name, value in event.items() if name not in _ENVELOPE and says_anything(value, SHELL)}
        if not isinstance(delta, str) and says_anything(delta, SHELL):
            members["delta"] = delta
        response = event.get("response")
        output = response.get("output") if isinstance(response, dict) else response
        if says_anything(output, SHELL):
            members["output"] = output
        if members:
            kind, *place = slot
            self._values.add((str(kind).rpartition(".")[0] or kind, *place), members)

    def add_raw(self, data: bytes) -> None:
        """Keep an event as it came: parsers disagree about what it says."""
        self._raw.append(data)
        self._room.take()

    def is_in(self, output: list[Any]) -> bool:
        """Whether *output* holds all that was delivered."""
        known = {*said(output, SHELL), recorded_output(output)[1]}
        texts = [text.joined() for text in self._texts.values()]
        return not self._raw and known.issuperset([*filter(None, texts), *said([*self._values.all().values()], SHELL)])

    def recorded(self) -> Any:
        """As a record holds it: the output, if the events of its items hold it all; else the text,
        if there is nothing else; else texts and members by the type and place of their events."""
        found = [(slot, members[-1]["item"]) for slot, members in self._values.all().items() if "item" in members[-1]]
        items = [item for slot, item in found if slot[0] == ITEM]
        if items and self.is_in(items):
            return recorded_output(items)[0]
        parts = self._parts()
        return parts.get(TEXT) if parts.keys() <= {TEXT} else parts

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        alike = Counter[str]()
        for slot, text in self._texts.items():
            parts[_name_of(slot, parts, alike)] = text.joined()
        known = set(parts.values())
        for slot, values in self._values.plain().items():
            if not known.issuperset(said(values, SHELL)):
                parts[_name_of(slot, parts, alike)] = values
        if self._raw:
            parts["raw"] = [data.decode("utf-8", "replace") for data in self._raw]
        return parts


def _name_of(slot: Slot, taken: Container[str], alike: Counter[str]) -> str:
    """The type of a slot's events and their place: the whole place if the short name is *taken*.

    Of whole places that read the same, all but the first are marked by their numbers in *alike*.
    """
    kind, *place = slot
    name = kind if kind == TEXT else f"{kind} {place[0]}"
    if name in taken:
        name = " ".join(str(word) for word in slot if word is not None)
    whole = name
    while name in taken:
        alike[whole] += 1
        name = f"{whole} '{alike[whole]}"
    return name
