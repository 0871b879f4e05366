"""An error in a stream of /v1/responses is that endpoint's own event."""

from __future__ import annotations

import json
import time
from typing import Any

import orjson
import pytest
from starlette.types import Message

from app.api.responses_stream import ResponsesStreamSink
from app.kit.event_stream import Event, EventParser

from ...support.asking import prepared
from ...support.http_request import REQUEST_ID, request_of

ERROR = orjson.dumps({"error": {"message": "Try again.", "type": "server_error", "param": None, "code": "upstream_error"}})
BEGUN = {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress", "error": None, "model": "m"}}


def sink() -> ResponsesStreamSink:
    async def send(message: Message) -> None: ...

    return ResponsesStreamSink(request_of("/v1/responses", body=[]), send, prepared())


def failed(sink: ResponsesStreamSink, error: bytes = ERROR) -> dict[str, Any]:
    (event,) = EventParser(1 << 20).feed(sink.encode_error(error))
    assert event.name == b"response.failed"
    document: dict[str, Any] = json.loads(event.data)
    return document


def test_the_response_that_has_begun_fails() -> None:
    failing = sink()
    events = [Event(b"response.created", orjson.dumps(BEGUN)), Event(b"", b"{}")]
    assert failing.encode(events, "").count(b"data: ") == 2
    failing.encode([Event(b"", b"{}")], "")
    assert failed(failing) == {
        "type": "response.failed",
        "sequence_number": 3,
        "error": orjson.loads(ERROR)["error"],
        "response": {**BEGUN["response"], "status": "failed", "error": {"code": "upstream_error", "message": "Try again."}},  # type: ignore[dict-item]
    }


@pytest.mark.parametrize(
    "first", [None, b"{}", b"no JSON", b"[]", b'{"response": 7}', b"[" * 200_000], ids=lambda first: ascii(first)[:20]
)
def test_a_response_that_has_not_begun_is_made(first: bytes | None) -> None:
    failing = sink()
    failing.encode([Event(b"", first)] if first is not None else [], "")
    response = failed(failing)["response"]
    assert abs(response.pop("created_at") - time.time()) < 60
    nothing = dict.fromkeys(["incomplete_details", "instructions", "temperature", "top_p", "usage"])
    assert response == nothing | {
        "id": f"resp_{REQUEST_ID}",
        "object": "response",
        "metadata": {},
        "model": "alias",
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "status": "failed",
        "error": {"code": "upstream_error", "message": "Try again."},
    }


def test_an_error_without_a_code_has_its_type_for_one() -> None:
    error = {"message": "No.", "type": "invalid_request_error", "param": None, "code": None}
    assert failed(sink(), orjson.dumps({"error": error}))["response"]["error"]["code"] == "invalid_request_error"
