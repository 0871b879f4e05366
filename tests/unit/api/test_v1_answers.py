"""What of a request's address and headers passes at /v1."""

from __future__ import annotations

import pytest

from app.api.schemas import OpenAIErrorBody
from app.api.v1_answers import _headers_of, refusals
from app.errors import InvalidParameter
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.messages import MESSAGES

from ...support.http_request import request_of

VERSION = ("anthropic-version", "2023-06-01")


def test_only_the_headers_of_the_protocol_pass() -> None:
    betas = [("anthropic-beta", "a-2025"), ("Anthropic-Beta", "b-2026, c")]
    request = request_of(headers=[VERSION, *betas, ("x-api-key", "secret"), ("Authorization", "Bearer secret")])
    assert _headers_of(MESSAGES, request) == dict([VERSION]) | {"anthropic-beta": "a-2025,b-2026, c"}
    assert _headers_of(CHAT, request) == {}


@pytest.mark.parametrize("value", ["", "x" * 2001, "caf\xe9", "a\tb"])
def test_a_header_that_is_too_long_or_not_printable_is_refused(value: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        _headers_of(MESSAGES, request_of(headers=[("anthropic-beta", value)]))
    assert refused.value.param == "anthropic-beta"


def test_every_endpoint_describes_its_refusals() -> None:
    assert refusals(OpenAIErrorBody, 401, 404) == {401: {"model": OpenAIErrorBody}, 404: {"model": OpenAIErrorBody}}
    assert 504 in refusals(OpenAIErrorBody)
