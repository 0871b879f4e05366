"""POST /responses: its answer, and its stream of typed events."""

from __future__ import annotations

from typing import Any

import orjson

from ...audit.format.record import Receipt
from ...errors import UpstreamError
from ...kit.event_stream import Event
from ...kit.strict_json import verify_depth
from ..completion import Completion
from .endpoint import finish_reason, model_name, read_usage, with_receipt, with_safe_name
from .merging import Message

LAST = frozenset({"response.completed", "response.incomplete"})
TEXT = "response.output_text.delta"
FAILED = frozenset({"response.failed", "error"})


class Responses:
    name, path, messages = "responses", "/responses", "input"
    token_caps: tuple[str, ...] = ("max_output_tokens",)
    streams, wants_objects, usage_is_asked_for = True, False, False
    beyond_the_record = frozenset({"background", "previous_response_id", "conversation", "prompt"})

    def read(self, document: Any, model: str) -> Completion:
        output = document["output"]
        if not isinstance(output, list) or document.get("status") in ("failed", "cancelled", "queued", "in_progress"):
            raise TypeError
        texts = [part.get("text") for item in output if item.get("type") == "message" for part in item["content"]]
        is_text = all(item.get("type") == "message" for item in output) and all(isinstance(text, str) for text in texts)
        text = "".join(text for text in texts if isinstance(text, str))
        return Completion(
            text,
            model_name(document, model),
            read_usage(document.get("usage"), "input_tokens", "output_tokens"),
            answer=text if is_text else output,
            finish=_finish(document),
        )

    def reader(self, model: str, wants_usage: bool) -> ResponsesReader:
        return ResponsesReader(model)


class ResponsesReader:
    """Events go on as they came; the one that ends the response waits for the receipt. There is no other end marker."""

    def __init__(self, model: str) -> None:
        self.is_over = False
        self.text = self.held_text = ""
        self._model = model
        self._told = Message()
        self._deltas: list[dict[str, str]] = []
        """Since the last mark, by the events' types."""
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
        response = document.get("response")
        is_changed = document.pop("receipt", None) is not None  # another's, which is no receipt of ours
        if (isinstance(response, dict) and with_safe_name(response, self._model)) or is_changed:
            event = Event(event.name, orjson.dumps(document))
        if kind in LAST:
            self.is_over, self._last, self._document = True, event, document
            RESPONSES.read(document["response"], self._model)
            return []
        delta = document.get("delta")
        if isinstance(delta, str):
            self._deltas.append({kind if kind == TEXT else f"{kind} {document.get('output_index')}": delta})
            if kind == TEXT:
                self.text = delta
        return [event]

    def end(self) -> None:
        raise UpstreamError  # it broke off

    def mark(self) -> None:
        for delta in self._deltas:
            self._told.add(delta)
        self._deltas.clear()

    def completion(self) -> Completion:
        return RESPONSES.read(self._document["response"], self._model)

    def delivered(self) -> Any:
        told = self._told.plain()
        return told.get(TEXT) if set(told) <= {TEXT} else told

    def last_events(self, receipt: Receipt) -> list[Event]:
        assert self._last is not None
        return [Event(self._last.name, with_receipt(self._last.data, self._document, receipt))]


def _finish(document: dict[str, Any]) -> Any:
    details = document.get("incomplete_details")
    return finish_reason(details.get("reason") if isinstance(details, dict) else document.get("status"))


RESPONSES = Responses()
