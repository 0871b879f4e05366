"""POST /responses: its answer, and its stream of typed events."""

from __future__ import annotations

from typing import Any

import orjson

from ...errors import UpstreamError
from ...kit.event_stream import Event
from ...kit.strict_json import verify_depth
from ..completion import Completion
from .members import finish_reason, read_usage, replace_model_path, safe_model_name
from .merging import Message
from .stream_reader import StreamEnd

LAST = frozenset({"response.completed", "response.incomplete"})
TEXT = "response.output_text.delta"
FAILED = frozenset({"response.failed", "error"})
UNFINISHED = frozenset({"failed", "cancelled", "queued", "in_progress"})


class Responses:
    name, path, messages = "responses", "/responses", "input"
    token_caps: tuple[str, ...] = ("max_output_tokens",)
    streams, wants_objects, usage_is_asked_for = True, False, False
    beyond_the_record = frozenset({"background", "previous_response_id", "conversation", "prompt"})

    def read(self, document: Any, model: str) -> Completion:
        output = document["output"]
        if not isinstance(output, list) or document.get("status") in UNFINISHED:
            raise TypeError
        texts = [part.get("text") for item in output if item.get("type") == "message" for part in item["content"]]
        is_text = all(item.get("type") == "message" for item in output) and all(isinstance(text, str) for text in texts)
        text = "".join(text for text in texts if isinstance(text, str))
        return Completion(
            text,
            safe_model_name(document, model),
            read_usage(document.get("usage"), "input_tokens", "output_tokens"),
            answer=text if is_text else output,
            finish=_finish(document),
        )

    def reader(self, model: str, wants_usage: bool) -> ResponsesReader:
        return ResponsesReader(model)


class ResponsesReader:
    """Passes events on as they came. The one that ends the response is held back.

    There is no other end marker.
    """

    def __init__(self, model: str) -> None:
        self.is_over = False
        self.text = self.held_text = ""
        self._alias = model
        self._delivered = Message()
        self._passed_on: list[dict[str, str]] = []  # since the last mark_delivered; by the events' types
        self._last: Event | None = None
        self._document: dict[str, Any] = {}

    def feed(self, event: Event) -> list[Event]:
        self.text = ""
        if event.data.startswith(b"[DONE]"):
            return []
        document = orjson.loads(event.data)
        verify_depth(document, event.data)
        kind = document["type"]
        if kind in FAILED or document.get("error"):
            raise UpstreamError
        event = self._cleaned(event, document)
        if kind in LAST:
            self.is_over, self._last, self._document = True, event, document
            RESPONSES.read(document["response"], self._alias)  # raises if it cannot be read at the end
            return []
        delta = document.get("delta")
        if isinstance(delta, str):
            self._passed_on.append({kind if kind == TEXT else f"{kind} {document.get('output_index')}": delta})
            if kind == TEXT:
                self.text = delta
        return [event]

    def _cleaned(self, event: Event, document: dict[str, Any]) -> Event:
        """Without a path as the model's name, and without the receipt of another gateway."""
        is_changed = "receipt" in document
        document.pop("receipt", None)
        response = document.get("response")
        if isinstance(response, dict):
            is_changed = replace_model_path(response, self._alias) or is_changed
        return Event(event.name, orjson.dumps(document)) if is_changed else event

    def end(self) -> None:
        raise UpstreamError  # the event that ends a response never came

    def mark_delivered(self) -> None:
        for delta in self._passed_on:
            self._delivered.add(delta)
        self._passed_on.clear()

    def completion(self) -> Completion:
        return RESPONSES.read(self._document["response"], self._alias)

    def delivered(self) -> Any:
        parts = self._delivered.plain()
        return parts.get(TEXT) if set(parts) <= {TEXT} else parts

    def held_back(self) -> StreamEnd:
        assert self._last is not None
        return StreamEnd(self._last, self._document)


def _finish(document: dict[str, Any]) -> Any:
    details = document.get("incomplete_details")
    return finish_reason(details.get("reason") if isinstance(details, dict) else document.get("status"))


RESPONSES = Responses()
