"""The stream of POST /responses: typed events, of which the last holds the whole answer."""

from __future__ import annotations

from typing import Any

from ...errors import UpstreamError
from ...kit.event_stream import Event
from ...kit.foreign_json import repeats_a_member, storable
from ..completion import Completion
from ..turns import is_heavy
from .content import says_anything
from .members import cleaned, read_usage, safe_model_name
from .responses_members import SHELL, TEXT, Gathered, finish_of, recorded_output, response_id_of
from .room import Room
from .stream_reader import StreamEnd, document_in, verify_no_error

LAST = frozenset({"response.completed", "response.incomplete"})
FAILED = frozenset({"response.failed", "error"})
FAILED_STATUSES = frozenset({"failed", "cancelled"})


class ResponsesReader:
    """Passes events on as they came. The one that ends the response is held back.

    There is no other end marker.
    """

    def __init__(self, model: str) -> None:
        self.is_over = False
        self.text = self.held_text = ""
        self._alias = model
        self._room = Room()
        self._delivered = Gathered(self._room)
        self._passed_on: list[tuple[dict[str, Any], bytes | None]] = []  # since the last mark_delivered
        self._last: Event | None = None
        self._document: dict[str, Any] = {}
        self._response: dict[str, Any] = {}  # in it

    def feed(self, event: Event) -> list[Event]:
        self.text = ""
        if event.data.startswith(b"[DONE]"):
            return []
        document = document_in(event)
        if document is None:
            return []
        kind = document.get("type") or event.name.decode("utf-8", "replace")
        if kind in FAILED or event.name == b"error" or document.get("error"):
            raise UpstreamError
        if not kind:
            verify_no_error(event)
        raw = event.data if repeats_a_member(document, event.data) else None
        event = cleaned(event, document, document.get("response"), self._alias)
        if kind in LAST:
            self._end_with(event, document, raw)
            return []
        self._passed_on.append((document, raw))
        if kind == TEXT and isinstance(delta := document.get("delta"), str):
            self.text = delta
        return [event]

    def _end_with(self, event: Event, document: dict[str, Any], raw: bytes | None) -> None:
        response = document.get("response")
        if isinstance(response, dict):
            if response.get("status") in FAILED_STATUSES or response.get("error"):
                raise UpstreamError
            output = response.get("output")
        else:
            response, output = {}, None
        if not isinstance(output, list | None) or (output is None and not self._passed_on and self._delivered.is_in([])):
            raise UpstreamError  # an end without any answer
        self.is_over, self._last, self._document, self._response = True, event, document, response
        self._passed_on.append(({name: value for name, value in document.items() if value is not response}, raw))

    def end(self) -> None:
        raise UpstreamError  # the event that ends a response never came

    def mark_delivered(self) -> None:
        passed_on, self._passed_on = self._passed_on, []
        for document, raw in passed_on:
            self._delivered.add(document)
            if raw is not None:
                self._delivered.add_raw(raw)
        self._room.verify()

    @property
    def is_heavy(self) -> bool:
        return self._room.is_heavy or (self._last is not None and is_heavy(self._last.data))

    def completion(self) -> Completion:
        self.mark_delivered()
        output = self._response.get("output") or []
        answer, text = recorded_output(output)
        if not self._delivered.is_in(output):
            streamed = self._delivered.recorded()
            answer = {"output": output, "events": streamed} if says_anything(output, SHELL) else streamed
        return Completion(
            text,
            safe_model_name(self._response, self._alias),
            read_usage(self._response.get("usage"), "input_tokens", "output_tokens"),
            answer=storable(answer),
            finish=finish_of(self._response),
            response_id=response_id_of(self._response),
        )

    def delivered(self) -> Any:
        return storable(self._delivered.recorded())

    def other(self) -> dict[str, Any] | None:
        return None

    def held_back(self) -> StreamEnd:
        assert self._last is not None
        return StreamEnd(self._last, self._document)
