"""Anthropic's SDK against a running service: its client, what is asked, and its errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from anthropic import Anthropic, APIStatusError

from .sdk import MODEL, PARAMETERS, PIXEL, QUESTION, Impatient
from .service import Service

ASKED: Any = {"model": MODEL, "max_tokens": 99, "messages": [{"role": "user", "content": QUESTION}]}
TOOLS: Any = [{"name": "weather", "description": "The weather.", "input_schema": PARAMETERS}]
PICTURE: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL.partition(",")[2]}}


def anthropic_of(service: Service, token: str, **more: Any) -> Anthropic:
    return Anthropic(base_url=service.url, api_key=token, **more)


def anthropic_newcomer(service: Service, name: str, **more: Any) -> Anthropic:
    """A new client, so that its rate limit is unused."""
    return anthropic_of(service, service.token(name, service.add_client(name)), **more)


class ImpatientAnthropic(Impatient, Anthropic):
    """Anthropic's."""


def hasty_anthropic(service: Service, name: str) -> ImpatientAnthropic:
    """A client with the SDK's default of three attempts."""
    client = ImpatientAnthropic(base_url=service.url, api_key=service.token(name, service.add_client(name)))
    client.waits = []
    return client


def ask(client: Anthropic, **more: Any) -> Any:
    return client.messages.create(**{**ASKED, **more})


def refused(call: Callable[..., Any], *given: Any, **asked: Any) -> APIStatusError:
    """The error that a call raises; checks that its body has Anthropic's form."""
    with pytest.raises(APIStatusError) as caught:
        call(*given, **asked)
    error = caught.value
    body = error.response.json()
    assert list(body) == ["type", "error", "request_id"]
    assert list(body["error"]) == ["type", "message", "details"]
    assert body["type"] == "error"
    assert error.response.headers["content-type"] == "application/json"
    assert re.fullmatch("[0-9a-f]{32}", error.request_id or "")
    assert error.request_id == body["request_id"] == error.response.headers["x-request-id"]
    return error


def check_error(error: APIStatusError, kind: type[APIStatusError], status: int, type_: str, code: str) -> None:
    assert (type(error), error.status_code, error.type, error.error_code) == (kind, status, type_, code), error.body


def text_of(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def texts_of(events: Iterable[Any]) -> list[str]:
    """The pieces of text of a stream."""
    return [event.delta.text for event in events if event.type == "content_block_delta" and event.delta.type == "text_delta"]
