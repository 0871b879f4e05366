"""The members of an answer of /messages, plain or in events, as a record holds them."""

from __future__ import annotations

from typing import Any

from ..bounds import MAX_KEPT
from .chat_members import index_of
from .content import LABELS, Latest, further, says_anything, text_of
from .members import with_events
from .merging import Message
from .room import Room

BEGUN, BLOCK, DELTA, CHANGED, LAST = (
    *("message_start", "content_block_start", "content_block_delta"),
    *("message_delta", "message_stop"),
)
PLACES = {BEGUN: "message", BLOCK: "content_block", DELTA: "delta", CHANGED: "delta"}
"""The member of an event that says something."""
MAX_BLOCKS = 1024
MESSAGE = LABELS | {"id", "model", "content", "usage", "stop_reason", "receipt"}
EVENT = LABELS | {"usage", "index"}
"""What a message and an event have besides. A record keeps the texts of all other members."""
_RENAMED = {"partial_json": "input"}


def recorded_content(blocks: list[Any]) -> tuple[Any, str]:
    """*blocks* as a record holds them, and the text in them: only the text if that is all."""
    text = text_of(blocks) or ""
    return (text if all(map(_is_only_text, blocks)) else blocks), text


def _is_only_text(block: Any) -> bool:
    members = block if isinstance(block, dict) else {"text": block}
    more = any(value for name, value in members.items() if name not in ("type", "text"))
    return members.get("type", "text") == "text" and isinstance(members.get("text"), str) and not more


class Gathered:
    """What the events of a stream delivered: blocks of content, and what stands beside them."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._blocks: list[Message] = []
        self._by_index: dict[int, Message] = {}  # the last block of each index
        self._latest = 0
        self._other = Latest(room=room)

    def add(self, kind: str, document: dict[str, Any], raw: bytes | None) -> None:
        """Take the event *document*; *raw* if it is to be kept as it came."""
        place = PLACES.get(kind, "")
        part = document.get(place)
        block = None
        if type(part) is dict:
            document = {name: value for name, value in document.items() if name != place}
            if kind == DELTA:
                block = self._block_at(document)
                block.add(_as_members(part))
            elif kind == BLOCK:
                block = self._begin(index_of(document, len(self._blocks)))
                block.add(part)
            else:
                self._add_message(part)
        for name, value in further(document, EVENT).items():
            self._other.add(name, value)
        if raw is not None and block is not None:
            block.add_raw(raw)
        elif raw is not None:
            self._other.add("raw", raw.decode("utf-8", "replace"))

    def content(self) -> list[Any]:
        """The blocks, each with its events if it alone does not say what was delivered."""
        return [_recorded(block.plain(), block.events()) for block in self._blocks]

    def other(self) -> dict[Any, Any]:
        return self._other.plain()

    def _add_message(self, message: dict[str, Any]) -> None:
        """Of an event that begins or changes the message. Its content comes in other events."""
        for name, value in further(message, MESSAGE).items():
            self._other.add(name, value)
        content = message.get("content")
        if says_anything(content):
            self._other.add("content", content)

    def _block_at(self, document: dict[str, Any]) -> Message:
        index = index_of(document, self._latest)
        return self._by_index.get(index) or self._begin(index)

    def _begin(self, index: int) -> Message:
        if len(self._blocks) >= MAX_BLOCKS:
            self._room.take(MAX_KEPT)  # one too many is recorded, and ends the stream
        block = Message(self._room)
        self._blocks.append(block)
        self._by_index[index] = block
        self._latest = index
        return block


def _as_members(delta: dict[str, Any]) -> dict[str, Any]:
    """The members of a block that *delta* adds to. The input of a tool comes as pieces of JSON."""
    members = {_RENAMED.get(name, name): value for name, value in delta.items() if name not in ("type", "citation")}
    return {**members, "citations": [delta["citation"]]} if "citation" in delta else members


def _recorded(block: dict[str, Any], events: list[Any]) -> dict[str, Any]:
    members = {name: value for name, value in block.items() if value is not None}
    return with_events(members, events) if events else members
