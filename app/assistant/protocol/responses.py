"""POST /responses: its answer, and its stream of typed events."""

from __future__ import annotations

from typing import Any

import orjson

from ...errors import UpstreamError
from ...security.audit.entry import Receipt
from ..models import Completion
from .dialect import model_name, read_usage, with_receipt
from .event_stream import Event

LAST = frozenset({"response.completed", "response.incomplete"})
FAILED = frozenset({"response.failed", "error"})


class Responses:
    name, path, messages = "responses", "/responses", "input"
    token_caps: tuple[str, ...] = ("max_output_tokens",)
    streams = True

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
        self._deltas: list[tuple[str, str]] = []
        self._marked = 0
        self._last: Event | None = None
        self._document: dict[str, Any] = {}

    def feed(self, event: Event) -> list[Event]:
        self.text = ""
        if event.data.startswith(b"[DONE]"):
            return []
        document = orjson.loads(event.data)
        kind = document["type"]
        if kind in FAILED or document.get("error"):
            raise UpstreamError
        if kind in LAST:
            self.is_over, self._last, self._document = True, event, document
            RESPONSES.read(document["response"], self._model)
            return []
        delta = document.get("delta")
        if isinstance(delta, str):
            self._deltas.append((kind, delta))
            if kind == "response.output_text.delta":
                self.text = delta
        return [event]

    def end(self) -> None:
        raise UpstreamError  # it broke off

    def mark(self) -> None:
        self._marked = len(self._deltas)

    def completion(self) -> Completion:
        return RESPONSES.read(self._document["response"], self._model)

    def delivered(self) -> Any:
        given = self._deltas[: self._marked]
        if all(kind == "response.output_text.delta" for kind, _ in given):
            return "".join(delta for _, delta in given) if given else None
        joined: dict[str, str] = {}
        for kind, delta in given:
            joined[kind] = joined.get(kind, "") + delta
        return joined

    def last_events(self, receipt: Receipt) -> list[Event]:
        assert self._last is not None
        return [Event(self._last.name, with_receipt(self._last.data, self._document, receipt))]


def _finish(document: dict[str, Any]) -> Any:
    details = document.get("incomplete_details")
    return details.get("reason") if isinstance(details, dict) else document.get("status")


RESPONSES = Responses()
