"""How a stream of /v1/responses is written: an error in it is that endpoint's own event."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from ..kit.event_stream import Event, encode
from ..kit.foreign_json import dumps, loads
from .streams import V1StreamSink


class ResponsesStreamSink(V1StreamSink):
    """Codex reads `response.failed`, and skips events without a `type`.

    OpenAI's SDKs raise the `error` beside it, so that no program takes half an answer for a whole.
    """

    _first: Event | None = None
    _number = 0

    def encode(self, events: Sequence[Event], text: str) -> bytes:
        if self._first is None and events:
            self._first = events[0]
        self._number += len(events)
        return super().encode(events, text)

    def encode_error(self, document: bytes) -> bytes:
        error = orjson.loads(document)["error"]
        failed = {
            **self._begun(),
            "status": "failed",
            "error": {"code": error["code"] or error["type"], "message": error["message"]},
        }
        event = {"type": "response.failed", "sequence_number": self._number, "response": failed, "error": error}
        return encode(Event(b"response.failed", dumps(event)))

    def _begun(self) -> dict[str, Any]:
        """The response as the model's server began it; a bare one if it said nothing yet."""
        with suppress(ValueError, TypeError, LookupError, RecursionError):
            begun = loads(self._first.data, errors="replace")["response"] if self._first else None
            if isinstance(begun, dict):
                return begun
        return {
            "id": f"resp_{self._origin.request_id}",
            "object": "response",
            "created_at": int(time.time()),
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self._call.model,
            "output": [],
            "parallel_tool_calls": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            "usage": None,
        }
