"""Errors of LangChain and the SDKs beneath it: which of ours each becomes, and that their words stay away."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import orjson
import pytest
from langchain_core import exceptions

from app.errors import AppError, Overloaded, UpstreamUnavailable
from app.upstream.attempts import Attempts, Try
from app.upstream.errors import ContextLengthExceeded, UpstreamRefused
from app.upstream.langchain_servers.errors import error_of
from app.upstream.protocol.chat import CHAT

from ....support.langchain_server import KEY, ask, body, claude, use
from ....support.raw_server import RawServer, whole

WORDS = "planted words of a prompt"


def anthropic_error(kind: str, message: str = WORDS) -> bytes:
    return orjson.dumps({"type": "error", "error": {"type": kind, "message": message}})


def failure(status: str, body: bytes, *headers: str) -> AppError:
    with RawServer(lambda request: [whole(body, *headers, status=status)]) as raw, pytest.raises(AppError) as caught:
        ask(claude(raw.base_url))
    assert WORDS not in str(caught.value.detail)
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        ("400 Bad", "invalid_request_error", "upstream_refused"),
        ("401 No", "authentication_error", "upstream_denied"),
        ("403 No", "permission_error", "upstream_denied"),
        ("404 No", "not_found_error", "upstream_refused"),
        ("413 Large", "request_too_large", "upstream_refused"),
        ("402 Pay", "billing_error", "upstream_out_of_quota"),
        ("429 Later", "rate_limit_error", "upstream_unavailable"),
        ("500 Bad", "api_error", "upstream_unavailable"),
        ("529 Full", "overloaded_error", "upstream_unavailable"),
        ("302 There", "found", "upstream_denied"),
    ],
)
def test_each_status_of_the_server_is_one_of_our_errors(status: str, kind: str, code: str) -> None:
    assert failure(status, anthropic_error(kind)).code == code


def test_retry_after_is_kept() -> None:
    assert failure("429 Later", anthropic_error("rate_limit_error"), "Retry-After: 7").retry_after == 7


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Your credit balance is too low to access the API.", "upstream_out_of_quota"),
        ("prompt is too long: 210000 tokens > 200000 maximum", "context_length_exceeded"),
    ],
)
def test_the_two_meanings_that_callers_must_know_are_read_from_words(message: str, code: str) -> None:
    assert failure("400 Bad", anthropic_error("invalid_request_error", message)).code == code


@pytest.mark.parametrize("body", [b"<html>", b"{", b'"text"', b"[]", b""])
def test_an_answer_that_is_none_is_an_upstream_error(body: bytes) -> None:
    assert failure("200 OK", body).code == "upstream_error"


def test_nothing_of_the_servers_text_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        failure("400 Bad", anthropic_error("invalid_request_error", f"{WORDS} {KEY}"))
    assert "status 400: type=invalid_request_error" in caplog.text
    assert WORDS not in caplog.text
    assert KEY not in caplog.text


def test_a_server_that_is_not_there_is_unavailable_and_costs_nothing() -> None:
    attempts = Attempts()
    with pytest.raises(UpstreamUnavailable):
        use(claude("http://127.0.0.1:9"), lambda server: server.complete(CHAT, body(), "alias", attempts=attempts))
    assert attempts.now.is_free


def test_the_try_knows_the_status_and_the_header() -> None:
    attempts = Attempts()
    answer = whole(anthropic_error("rate_limit_error"), "Retry-After: 7", status="429 Later")
    with RawServer(lambda request: [answer]) as raw, pytest.raises(UpstreamUnavailable):
        use(claude(raw.base_url), lambda server: server.complete(CHAT, body(), "alias", attempts=attempts))
    assert (attempts.now.status, attempts.now.retry_after) == (429, "7")


# --- errors of other SDKs ----------------------------------------------------------------------------


def told(error: Exception, now: Try | None = None) -> AppError:
    return error_of(error, b"{}", now or sent())


def sent() -> Try:
    now = Try("other")
    now.is_sent = True
    return now


def test_what_may_be_a_fault_of_ours_is_logged_with_its_place(caplog: pytest.LogCaptureFixture) -> None:
    def convert() -> None:
        raise KeyError(WORDS)

    for now in (sent(), Try("lab")):
        caplog.clear()
        try:
            convert()
        except KeyError as error:
            error_of(error, b"{}", now)
        assert "KeyError" in caplog.text
        assert "test_errors.py" in caplog.text
        assert "convert" in caplog.text
        assert WORDS not in caplog.text


def test_an_error_of_ours_stays_what_it_is() -> None:
    ours = Overloaded()
    assert told(ours) is ours


def test_an_httpx_status_is_read_where_it_is_a_cause() -> None:
    answer = httpx.Response(429, json={"error": {"code": "rate_limited"}}, headers={"retry-after": "3"})
    try:
        try:
            raise httpx.HTTPStatusError(WORDS, request=httpx.Request("POST", "http://x"), response=answer)
        except httpx.HTTPStatusError as error:
            raise RuntimeError(WORDS) from error
    except RuntimeError as error:
        found = told(error)
    assert (found.code, found.retry_after) == ("upstream_unavailable", 3)


class ClientError(Exception):
    """As botocore's and Google's errors, which carry their answers as attributes."""

    def __init__(self, **members: Any) -> None:
        super().__init__(WORDS)
        vars(self).update(members)


def test_botocores_and_googles_errors_are_read() -> None:
    metadata = {"HTTPStatusCode": 403, "HTTPHeaders": {}}
    assert told(ClientError(response={"ResponseMetadata": metadata, "Error": {"Code": "AccessDenied"}})).code == "upstream_denied"
    assert told(ClientError(code=404, details={"error": {"status": "NOT_FOUND"}})).code == "upstream_refused"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (exceptions.ModelAuthenticationError, "upstream_denied"),
        (exceptions.ModelPermissionDeniedError, "upstream_denied"),
        (exceptions.ModelInvalidRequestError, "upstream_refused"),
        (exceptions.ModelNotFoundError, "upstream_refused"),
        (exceptions.ModelRateLimitError, "upstream_unavailable"),
        (exceptions.ModelAPIError, "upstream_unavailable"),
        (exceptions.ModelConnectionError, "upstream_unavailable"),
        (exceptions.ModelTimeoutError, "upstream_unavailable"),
        (exceptions.ContextOverflowError, "context_length_exceeded"),
        (ConnectionResetError, "upstream_unavailable"),
        (KeyError, "upstream_error"),
    ],
)
def test_langchains_kinds_decide_where_no_status_is_known(kind: type[Exception], code: str) -> None:
    assert told(kind(WORDS)).code == code


@pytest.mark.parametrize(
    ("error", "is_free"),
    [
        (ClientError(status_code=400), True),
        (ClientError(status_code=429), True),
        (ClientError(status_code=500), False),
        (ClientError(status_code=200), False),
        (ConnectionRefusedError(), True),
        (ConnectionResetError(), False),
        (httpx.ConnectError(WORDS), True),
        (httpx.ReadError(WORDS), False),
        (ValueError(WORDS), False),
    ],
)
def test_what_cannot_have_generated_anything_is_free(error: Exception, is_free: bool) -> None:
    now = sent()
    told(error, now)
    assert now.is_free is is_free


def test_an_overflow_is_one_whatever_its_status() -> None:
    class Both(ClientError, exceptions.ContextOverflowError):
        pass

    assert isinstance(told(Both(status_code=400)), ContextLengthExceeded)


def test_what_was_never_sent_is_the_requests_fault() -> None:
    found = told(ValueError(WORDS), Try("other"))
    assert isinstance(found, UpstreamRefused)
    assert found.status == 400


def kind_of(module: str, base: type[Exception], name: str) -> type[Exception]:
    return type(name, (base,), {"__module__": module})


PROTOCOL_ERROR = kind_of("urllib3.exceptions", Exception, "ProtocolError")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (httpx.RemoteProtocolError("cut"), "upstream_unavailable"),
        (kind_of("httpx_sse._exceptions", httpx.TransportError, "SSEError")("no stream"), "upstream_error"),
        (PROTOCOL_ERROR("cut"), "upstream_unavailable"),
        (kind_of("urllib3.exceptions", PROTOCOL_ERROR, "InvalidChunkLength")("cut"), "upstream_unavailable"),
        (kind_of("aiohttp.client_exceptions", Exception, "ClientPayloadError")("cut"), "upstream_unavailable"),
        (kind_of("other", Exception, "ProtocolError")("?"), "upstream_error"),
    ],
)
def test_a_connection_fails_only_by_its_librarys_own_errors(error: Exception, code: str) -> None:
    """httpx-sse derives one from them for an answer that is no stream, such as a page of HTML."""
    now = Attempts().now
    now.is_sent = True
    assert error_of(error, b"{}", now).code == code
