"""Bodies for /v1 that no method of an SDK makes, sent through the SDK, and checks of their refusal."""

from __future__ import annotations

from typing import Any

from openai import APIStatusError, OpenAI

from .fake_openai import FakeOpenAI
from .sdk import check_error, records_named
from .service import Service

CHAT, RESPONSES, EMBEDDINGS = "/chat/completions", "/responses", "/embeddings"
HI: Any = {"role": "user", "content": "hi"}
PLAIN: dict[str, Any] = {
    CHAT: {"model": "small", "messages": [HI]},
    RESPONSES: {"model": "small", "input": "hi"},
    EMBEDDINGS: {"model": "small", "input": "hi"},
}


def send(client: OpenAI, path: str, members: Any) -> Any:
    """Send a body that no method of the SDK would make."""
    return client.post(path, body=members, cast_to=object)


def check_refused(
    service: Service, upstream: FakeOpenAI, error: APIStatusError, kind: type[APIStatusError], param: str | None, code: str
) -> None:
    check_error(error, kind, error.status_code, "invalid_request_error", code)
    assert error.param == param
    assert param is None or (isinstance(error.body, dict) and str(error.body["message"]).startswith(f"{param} "))
    (record,) = records_named(service, error.request_id)
    details = record["details"]
    assert (record["action"], record["user_id"], details["status"]) == ("request.refused", "alice", error.status_code)
    assert (details.get("param"), details.get("reason")) == ((param, code) if param else (None, None))
    assert upstream.calls() == 0
