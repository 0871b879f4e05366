"""The stream of POST /chat/completions: chunks, each with a delta of the message."""

from __future__ import annotations

from typing import Any

from ...errors import UpstreamError
from ...kit.event_stream import Event
from ...kit.foreign_json import dumps, repeats_a_member, storable
from ..completion import Completion, Usage
from ..turns import is_heavy
from .chat_members import CHOICE, DOCUMENT, further_in_choice, index_of, message_of, recorded
from .content import Latest, further, news_in, text_of
from .members import cleaned, finish_reason, one_or_all, read_usage, safe_model_name
from .merging import Message
from .room import Room
from .stream_reader import StreamEnd, document_in, verify_no_error

DONE = Event(b"", b"[DONE]")
MAX_CHOICES = 128
Delivery = tuple[int | str, Any, bytes | None]
"""The index of a choice, what is added to its message, and the event itself if it is to be kept as
it came; or the name and the value of a further member."""


class ChatReader:
    """Passes chunks on as they came. A chunk that may be the last is held back until the next.

    It may be the last if it has a finish_reason, or nothing but the usage. A usage chunk that the
    caller did not ask for goes to the record only. Events with nothing in them are skipped.
    """

    def __init__(self, model: str, wants_usage: bool) -> None:
        self.is_over = False
        self.text = self.held_text = ""
        self._alias = self._model = model
        self._wants_usage = wants_usage
        self._usage: Usage | None = None
        self._finish: dict[int, str | None] = {}  # by the index of the choice, as are the messages
        self._shown: int | None = None  # the choice whose text is `text`: the first that came
        self._room = Room()
        self._delivered: dict[int, Message] = {}
        self._other = Latest(room=self._room)
        self._passed_on: list[Delivery] = []  # since the last mark_delivered
        self._held: list[Event] = []  # one at most
        self._held_deltas: list[Delivery] = []
        self._last: dict[str, Any] = {}  # the last chunk that was passed on or held back

    def feed(self, event: Event) -> list[Event]:
        self.text = ""
        if event.data.startswith(b"[DONE]"):
            if not self._finish:
                raise UpstreamError  # an end without any answer
            self.is_over = True
            return []
        chunk = document_in(event)
        if chunk is None:
            return []
        choices = chunk.get("choices") or []
        if chunk.get("error") or chunk.get("object") == "error" or event.name == b"error" or not isinstance(choices, list):
            raise UpstreamError
        usage = chunk.get("usage")
        if usage is not None:
            self._usage = read_usage(usage, "prompt_tokens", "completion_tokens") or self._usage
            if not choices and not self._wants_usage:
                return []
        raw = event.data if repeats_a_member(chunk, event.data) else None
        deltas: list[Delivery] = [(name, value, None) for name, value in further(chunk, DOCUMENT).items()]
        if deltas and not choices:
            verify_no_error(event)
        if raw is not None and not choices:
            deltas.append(("raw", raw.decode("utf-8", "replace"), None))
        if not choices and not deltas and usage is None and self._held:
            return []  # nothing may follow the last chunk, which has the receipt
        text, has_end = self._read_choices(choices, deltas, raw)
        if "receipt" in chunk or chunk.get("model") != self._model:
            event = cleaned(event, chunk, chunk, self._alias)
            self._model = safe_model_name(chunk, self._model)
        may_be_last = has_end or (usage is not None and not choices)
        if may_be_last or choices or not self._last:
            self._last = chunk
        return self._pass_on(event, deltas, text, may_be_last)

    def _read_choices(self, choices: list[Any], deltas: list[Delivery], raw: bytes | None) -> tuple[str, bool]:
        """Add to *deltas*. Returns the text that /ask shows, and whether a choice has ended."""
        text, has_end = "", False
        for place, choice in enumerate(choices):
            if choice is None:
                continue
            index, delta = choice.get("index"), choice.get("delta")
            if type(index) is not int:
                index = index_of(choice, place)
            is_odd = type(delta) is not dict
            if is_odd:
                delta = message_of(choice, "delta")
            if is_odd or not choice.keys() <= CHOICE or "message" in choice:
                deltas += [(name, value, None) for name, value in further_in_choice(choice, index, delta)]
            deltas.append((index, delta, raw))
            if index not in self._finish:
                if len(self._finish) == MAX_CHOICES:
                    raise UpstreamError
                self._finish[index] = None
                self._shown = index if self._shown is None else self._shown
            if (finish := choice.get("finish_reason")) and (word := finish_reason(finish)):
                self._finish[index] = word
                has_end = True
            if index == self._shown and (content := delta.get("content")):
                text += content if type(content) is str else text_of(content) or ""
        return text, has_end

    def _pass_on(self, event: Event, deltas: list[Delivery], text: str, may_be_last: bool) -> list[Event]:
        released = self._release() if self._held else []
        if may_be_last:
            self._held, self._held_deltas, self.held_text = [event], deltas, text
            return released
        self._passed_on += deltas
        self.text += text
        return [*released, event]

    def _release(self) -> list[Event]:
        """What was held back, now that another chunk follows it."""
        held, self._held = self._held, []
        self._passed_on += self._held_deltas
        self._held_deltas = []
        self.text, self.held_text = self.held_text, ""
        return held

    def end(self) -> None:
        if not self._finish or None in self._finish.values():
            raise UpstreamError
        self.is_over = True

    def mark_delivered(self) -> None:
        passed_on, self._passed_on = self._passed_on, []
        for place, value, raw in passed_on:
            if isinstance(place, str):
                self._other.add(place, value)
                continue
            message = self._delivered.get(place) or self._delivered.setdefault(place, Message(self._room))
            message.add(value)
            if raw is not None:
                message.add_raw(raw)
        self._room.verify()

    @property
    def is_heavy(self) -> bool:
        return self._room.is_heavy or any(is_heavy(event.data) for event in self._held)

    def completion(self) -> Completion:
        self._passed_on += self._held_deltas
        self._held_deltas = []
        self.mark_delivered()
        finish = one_or_all([self._finish[index] for index in sorted(self._finish)])
        shown = self._delivered.get(self._shown or 0)
        text = text_of(shown.plain().get("content")) if shown else None
        return Completion(text, self._model, self._usage, answer=self.delivered(), finish=finish, other=self.other())

    def delivered(self) -> Any:
        if not self._delivered:
            return None
        messages = [self._delivered[index] for index in sorted(self._delivered)]
        return storable(recorded([(message.plain(), message.events()) for message in messages]))

    def other(self) -> dict[str, Any] | None:
        other: dict[str, Any] | None = storable(news_in(self._other.plain(), self.delivered()))
        return other

    def held_back(self) -> StreamEnd:
        if self._held:
            return StreamEnd(self._held[0], self._last, (DONE,))
        # The server ended without a finish_reason: an empty chunk takes the receipt.
        chunk = {name: self._last.get(name) for name in ("id", "object", "created", "model")} | {"choices": []}
        return StreamEnd(Event(b"", dumps(chunk)), chunk, (DONE,))
