"""The stream of POST /messages: typed events, of which `message_stop` is the last."""

from __future__ import annotations

from typing import Any

from ...errors import UpstreamError
from ...kit.event_stream import Event
from ...kit.foreign_json import repeats_a_member, storable
from ..completion import Completion
from ..turns import is_heavy
from .content import news_in
from .members import cleaned, finish_reason, read_usage, safe_model_name
from .messages_members import BEGUN, CHANGED, LAST, PLACES, Gathered, recorded_content
from .room import Room
from .stream_reader import StreamEnd, document_in, verify_no_error

COUNTS = ("input_tokens", "output_tokens")
OF_CACHE = ("cache_read_input_tokens", "cache_creation_input_tokens")


class MessagesReader:
    """Passes events on as they came, unknown ones too. `message_stop` is held back."""

    def __init__(self, model: str) -> None:
        self.is_over = False
        self.text = self.held_text = ""  # only /ask shows it
        self._alias = self._model = model
        self._counts: dict[str, Any] = {}
        self._finish: str | None = None
        self._has_begun = False
        self._room = Room()
        self._delivered = Gathered(self._room)
        self._passed_on: list[tuple[str, dict[str, Any], bytes | None]] = []  # since the last mark_delivered
        self._last: Event | None = None
        self._document: dict[str, Any] = {}

    def feed(self, event: Event) -> list[Event]:
        if event.data.startswith(b"[DONE]"):
            return []
        document = document_in(event)
        if document is None:
            return []
        kind = document.get("type") or event.name.decode("utf-8", "replace")
        if kind == "error" or event.name == b"error" or document.get("error"):
            raise UpstreamError
        if not isinstance(kind, str):
            kind = ""
        if not kind:
            verify_no_error(event)
        raw = event.data if repeats_a_member(document, event.data) else None
        event = cleaned(event, document, document.get("message"), self._alias)
        self._passed_on.append((kind, document, raw))
        if kind == LAST or event.name == LAST.encode():  # some programs read the name alone
            if not self._has_begun:
                raise UpstreamError  # an end without any answer
            self.is_over, self._last, self._document = True, event, document
            return []
        if kind in PLACES:
            self._has_begun = True
            if kind in (BEGUN, CHANGED):
                self._read_message(document.get(PLACES[kind]), document)
        return [event]

    def _read_message(self, message: Any, document: dict[str, Any]) -> None:
        """The model's name, the counts and the reason for the end, where they are told."""
        message = message if isinstance(message, dict) else {}
        self._model = safe_model_name(message, self._model)
        self._finish = finish_reason(message.get("stop_reason")) or self._finish
        for counts in (message.get("usage"), document.get("usage")):
            if isinstance(counts, dict):
                self._counts |= {name: counts[name] for name in COUNTS + OF_CACHE if counts.get(name) is not None}

    def end(self) -> None:
        raise UpstreamError  # message_stop never came

    def mark_delivered(self) -> None:
        passed_on, self._passed_on = self._passed_on, []
        for kind, document, raw in passed_on:
            self._delivered.add(kind, document, raw)
        self._room.verify()

    @property
    def is_heavy(self) -> bool:
        return self._room.is_heavy or (self._last is not None and is_heavy(self._last.data))

    def completion(self) -> Completion:
        self.mark_delivered()
        answer, text = recorded_content(self._delivered.content())
        return Completion(
            text,
            self._model,
            read_usage(self._counts, *COUNTS),
            answer=storable(answer),
            finish=self._finish,
            other=self.other(),
        )

    def delivered(self) -> Any:
        blocks = self._delivered.content()
        return storable(recorded_content(blocks)[0]) if blocks else None

    def other(self) -> dict[str, Any] | None:
        other: dict[str, Any] | None = storable(news_in(self._delivered.other(), self.delivered()))
        return other

    def held_back(self) -> StreamEnd:
        assert self._last is not None
        return StreamEnd(self._last, self._document)
