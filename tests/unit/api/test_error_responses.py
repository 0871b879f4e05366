"""From an error to its response: one record, and the headers that tell a caller what to do."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.api.context import change_context, request_context
from app.api.error_responses import MAX_METHOD, POINTLESS, answer_error, record_refusal, stream_error_document
from app.api.http_errors import MalformedJson, TokenMissing, UnsupportedCoding
from app.api.quota_headers import quota_headers
from app.errors import (
    AppError,
    AuditCorrupt,
    AuditUnavailable,
    ClientGone,
    InsufficientScope,
    InvalidParameter,
    LimitsUnavailable,
    LongTextUnavailable,
    ModelNotFound,
    NotFound,
    Overloaded,
    RateLimited,
    Unavailable,
)
from app.limits.budgets.errors import BudgetSpent
from app.limits.quota import Quota, QuotaExceeded
from app.security.api_keys.form import KeyRefused
from app.security.asserted_user import AssertedUser
from app.security.oauth_errors import InvalidClient
from app.security.token_errors import TokenExpired

from ...support.error_tree import every_error_class, example_of
from ...support.http_request import ADDRESS, REQUEST_ID, FakeApp, request_of, run
from ...support.tables import for_each

SECRET = "sk-proj-Tq3vXz81LmPwK0aYbN7rEdQ2"
SECRET_DIGEST = "sha256:" + hashlib.sha256(SECRET.encode()).hexdigest()
RETRY = ("retry-after", "retry-after-ms", "x-should-retry")


METADATA = 'resource_metadata="http://h:8000/.well-known/oauth-protected-resource"'


def answer(error: Exception, request: Request | None = None) -> Response:
    return run(answer_error(request or request_of(), error))


def headers_of(error: Exception, path: str = "/ask", *names: str) -> dict[str, str]:
    response = answer(error, request_of(path, {"Host": "h:8000"}, app=FakeApp()))
    return {name: response.headers[name] for name in names if name in response.headers}


# --- its record --------------------------------------------------------------------------------------


def test_a_refusal_is_recorded_once_with_all_that_is_known_of_the_request() -> None:
    app = FakeApp()
    request = request_of("/v1/nothing", app=app, method="GET", client_request_id="mine-1")
    change_context(request, user_id="alice")
    response = answer(NotFound(), request)
    assert (response.status_code, orjson.loads(response.body)["error"]["code"]) == (404, "unknown_url")
    (record,) = app.records
    assert record == {
        "user_id": "alice",
        "request_id": REQUEST_ID,
        "policy": False,
        "details": {
            "status": 404,
            "code": "not_found",
            "method": "GET",
            "route": None,
            "address": ADDRESS,
            "client_request_id": "mine-1",
            "path": "/v1/nothing",
        },
    }
    assert list(record["details"]) == ["status", "code", "method", "route", "address", "client_request_id", "path"]
    assert request_context(request).origin.terminal_record.is_written
    answer(AppError(), request)
    assert len(app.records) == 1, "a request has one record"


def test_a_request_that_has_its_record_is_answered_and_not_recorded_again() -> None:
    app = FakeApp()
    request = request_of(app=app)
    request_context(request).origin.terminal_record.is_written = True
    assert answer(Overloaded(), request).status_code == 503
    assert orjson.loads(run(stream_error_document(request, ClientGone())))["code"] == "client_gone"
    assert app.records == []


def test_an_error_of_a_stream_is_recorded_once_in_the_style_of_its_path() -> None:
    app = FakeApp()
    request = request_of("/v1/responses", app=app)
    for _ in range(2):
        document = orjson.loads(run(stream_error_document(request, Overloaded())))
        assert document["error"]["code"] == "overloaded"
    assert [one["details"]["status"] for one in app.records] == [503]


def test_a_refusing_response_that_no_error_made_is_recorded_by_its_status() -> None:
    app = FakeApp()
    for status, code in ((416, "invalid_request"), (500, "internal")):
        request = request_of(app=app)
        run(record_refusal(request, status))
        assert (app.records[-1]["details"]["status"], app.records[-1]["details"]["code"]) == (status, code)
        assert request_context(request).origin.terminal_record.is_written


@for_each(
    ("error", "details"),
    [
        (InvalidParameter("n", "is too large.", reason="too_large"), {"param": "n", "reason": "too_large"}),
        (ModelNotFound("gpt-9", is_known=False), {"model": "gpt-9", "is_known": False}),
        (ModelNotFound("x" * 300, is_known=True), {"model": "x" * 200, "is_known": True}),
        (ModelNotFound("\ud800", is_known=False), {"model": "\\ud800", "is_known": False}),
        (ModelNotFound(SECRET, is_known=False), {"model": SECRET_DIGEST, "is_known": False}),
        (ModelNotFound("y" * 300, is_known=False), {"model": "y" * 199 + "…", "is_known": False}),
        (InvalidClient("wrong_secret", "alice"), {"reason": "wrong_secret", "client_id": "alice"}),
        (InvalidClient("unknown_client", SECRET), {"reason": "unknown_client", "client_id": SECRET_DIGEST}),
        (InvalidClient("unknown_client", "z" * 90), {"reason": "unknown_client", "client_id": "z" * 79 + "…"}),
        (InvalidClient("unknown_client", "no good\n"), {"reason": "unknown_client", "client_id": "no good\\n"}),
        (KeyRefused("expired", "k" * 11), {"reason": "expired", "key_id": "k" * 11}),
        (KeyRefused(), {"reason": "malformed"}),
        (TokenExpired(), {}),
    ],
)
def test_the_record_holds_the_reason_that_the_body_may_hide(error: AppError, details: dict[str, Any]) -> None:
    app = FakeApp()
    answer(error, request_of(app=app))
    (record,) = app.records
    assert {
        name: value for name, value in record["details"].items() if name not in ("status", "method", "route", "address", "path")
    } == {
        "code": error.code,
        **details,
    }


@for_each("kind", every_error_class())
def test_only_a_refusal_by_policy_counts_as_one(kind: type[AppError]) -> None:
    app = FakeApp()
    answer(example_of(kind), request_of(app=app))
    assert [one["policy"] for one in app.records] in ([], [kind in (InsufficientScope, Overloaded, BudgetSpent)])


@pytest.mark.parametrize("error", [AuditUnavailable(), LongTextUnavailable()])
def test_a_refusal_because_of_the_log_is_counted_and_logged_instead(error: AppError) -> None:
    app = FakeApp()
    assert answer(error, request_of(app=app)).status_code == 503
    assert (app.records, app.slot.refused) == ([], 1)
    event = {"level": "ERROR", "user_id": None, "request_id": REQUEST_ID, "address": ADDRESS, "route": None}
    assert app.events == [("audit_unavailable", event)]


def test_a_corrupt_log_is_a_critical_event_and_recorded_too() -> None:
    app = FakeApp()
    answer(AuditCorrupt("The log is shorter."), request_of(app=app))
    event = {"level": "CRITICAL", "request_id": REQUEST_ID, "detail": "The log is shorter."}
    assert app.events == [("audit_corrupt", event)]
    assert len(app.records) == 1


def test_the_record_names_the_credential_and_the_asserted_user() -> None:
    app = FakeApp()
    request = request_of(app=app, method="PUT" * 50)
    context = request_context(request)
    origin = replace(context.origin, asserted_user=AssertedUser("u1", "x-user", "u1@example.com"))
    change_context(request, origin=origin, credential="key:k")
    answer(Overloaded(), request)
    details = app.records[0]["details"]
    assert (details["credential"], len(details["method"])) == ("key:k", MAX_METHOD)
    assert details["asserted_user"] == {"id": "u1", "source": "x-user", "email": "u1@example.com"}


@pytest.mark.parametrize(
    ("route", "template"),
    [
        ({"route": SimpleNamespace(path="/a/{b}")}, "/a/{b}"),
        ({"endpoint": len}, "/docs"),
        ({"endpoint": max}, "/static"),
        ({"endpoint": min}, None),
        ({"route": None}, None),
    ],
)
def test_the_record_names_the_route_that_was_found(route: dict[str, Any], template: str | None) -> None:
    app = FakeApp()
    request = request_of(app=app)
    mounted = [SimpleNamespace(endpoint=len, path="/docs"), SimpleNamespace(app=max, path="/static")]
    request.scope["app"].routes.extend(mounted)
    request.scope.update(route)
    answer(Overloaded(), request)
    assert app.records[0]["details"]["route"] == template


def test_before_the_service_is_open_an_error_is_answered_without_a_record() -> None:
    assert answer(AppError(), request_of(app=None)).status_code == 500


def test_a_404_says_which_path_was_asked_for() -> None:
    app = FakeApp()
    for path, shown in ((f"/v1/files/{SECRET}", f"/v1/files/{SECRET_DIGEST}"), ("/a/b\x07", "/a/b\\x07")):
        answer(HTTPException(404), request_of(path, app=app, query="key=planted"))
        assert app.records[-1]["details"]["path"] == shown
        assert "planted" not in str(app.records)
    answer(HTTPException(405), request_of("/ask", app=app))
    assert "path" not in app.records[-1]["details"]


# --- what the framework refuses ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (HTTPException(404), 404, "not_found"),
        (HTTPException(405), 405, "method_not_allowed"),
        (HTTPException(413), 413, "too_large"),
        (HTTPException(401), 404, "not_found"),
        (RequestValidationError([]), 422, "invalid_request"),
    ],
)
def test_what_the_framework_refuses_becomes_an_error_of_ours(error: Exception, status: int, code: str) -> None:
    response = answer(error)
    body = orjson.loads(response.body)
    assert (response.status_code, body["code"]) == (status, code)
    assert response.media_type == "application/problem+json"
    if code == "invalid_request":
        assert body["detail"] == "A parameter of this address cannot be used: see the documentation."


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("/ask", "application/problem+json"), ("/token", "application/json"), ("/v1/models", "application/json")],
)
def test_the_type_of_the_body_is_that_of_its_style(path: str, media_type: str) -> None:
    assert headers_of(UnsupportedCoding(), path, "content-type", "accept-encoding") == {
        "content-type": media_type,
        "accept-encoding": "gzip, zstd",
    }


def test_a_refused_method_keeps_the_list_of_those_that_are_taken() -> None:
    response = answer(HTTPException(405, headers={"Allow": "GET, HEAD", "x-other": "1"}))
    assert (response.headers["allow"], "x-other" in response.headers) == ("GET, HEAD", False)


# --- its headers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RateLimited(retry_after=7), {"retry-after": "7", "retry-after-ms": "7000"}),
        (LimitsUnavailable(retry_after=0.0001), {"retry-after": "1", "retry-after-ms": "1"}),
        (Unavailable(retry_after=1.2), {"retry-after": "2", "retry-after-ms": "1200"}),
        (Unavailable(), {"retry-after": "2"}),
        (RateLimited(), {"retry-after": "2"}),
        (AuditUnavailable(), {"x-should-retry": "false"}),
        (AuditUnavailable(retry_after=2), {"x-should-retry": "false", "retry-after": "2", "retry-after-ms": "2000"}),
        (AppError(), {"x-should-retry": "false"}),
        (NotFound(), {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AppError) else "",
)
def test_a_response_says_when_the_same_call_may_succeed(error: AppError, expected: dict[str, str]) -> None:
    assert headers_of(error, "/ask", *RETRY) == expected


def test_a_retry_is_called_pointless_only_where_it_is() -> None:
    pointless = {kind.code for kind in every_error_class() if headers_of(example_of(kind), "/v1/x", "x-should-retry")}
    assert pointless == POINTLESS


@pytest.mark.parametrize(
    ("path", "error", "challenge"),
    [
        ("/ask", TokenMissing(), f'Bearer realm="secure-ai-assistant", {METADATA}'),
        ("/v1/models", TokenExpired(), f'Bearer realm="secure-ai-assistant", error="invalid_token", {METADATA}'),
        (
            "/v1/models",
            InsufficientScope("ai.playground.user"),
            'Bearer realm="secure-ai-assistant", error="insufficient_scope", scope="ai.playground.user"',
        ),
        ("/token", InvalidClient(), 'Basic realm="secure-ai-assistant"'),
        ("/token", MalformedJson(), None),
        ("/ask", NotFound(), None),
    ],
)
def test_a_challenge_says_which_proof_is_wanted(path: str, error: AppError, challenge: str | None) -> None:
    assert headers_of(error, path, "www-authenticate").get("www-authenticate") == challenge


@pytest.mark.parametrize("host", ['a", error="x', "a b", ""])
def test_a_host_that_is_none_is_not_repeated_in_a_challenge(host: str) -> None:
    response = answer(TokenExpired(), request_of("/ask", {"Host": host}, app=FakeApp()))
    assert response.headers["www-authenticate"] == 'Bearer realm="secure-ai-assistant", error="invalid_token"'


def test_only_the_token_endpoint_forbids_old_caches() -> None:
    assert headers_of(NotFound(), "/token", "pragma") == {"pragma": "no-cache"}
    assert headers_of(NotFound(), "/ask", "pragma") == {}


def test_a_full_bucket_is_shown_in_the_headers() -> None:
    quota = Quota(60, 0, 7)
    response = answer(QuotaExceeded(quota))
    assert set(quota_headers(quota)) <= set(response.headers.raw)
    assert response.headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("headers", "is_body_read", "closes"),
    [
        ({}, False, False),
        ({"content-length": "65536"}, False, False),
        ({"content-length": "65537"}, False, True),
        ({"content-length": "many"}, False, True),
        ({"content-length": "9" * 5000}, False, True),
        ({"transfer-encoding": "chunked"}, False, True),
        ({"transfer-encoding": "chunked"}, True, False),
        ({"content-length": "65537"}, True, False),
    ],
)
def test_a_connection_ends_where_much_of_a_body_is_unread(headers: dict[str, str], is_body_read: bool, closes: bool) -> None:
    request = request_of(headers=headers)
    change_context(request, is_body_read=is_body_read)
    assert (answer(NotFound(), request).headers.get("connection") == "close") == closes
