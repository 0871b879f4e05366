"""Around every request: its id, its headers, and the errors that nothing else caught."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.context import change_context, hold_of, request_context
from app.api.middleware import RequestMiddleware
from app.api.quota_headers import quota_headers
from app.errors import NotFound
from app.limits.quota import Quota

from ...support.http_request import ADDRESS, FakeApp, run, scope_of
from ...support.tables import for_each

SECRET = "planted-secret"


@dataclass
class Sent:
    """What one call of the middleware sent, and the scope as it left it."""

    scope: Scope
    messages: Sequence[Message]

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> Headers:
        return Headers(raw=self.messages[0]["headers"])

    @property
    def document(self) -> Any:
        return orjson.loads(self.messages[1]["body"])


def call(inner: ASGIApp, /, *args: Any, sent: list[Message] | None = None, **more: Any) -> Sent:
    messages: list[Message] = [] if sent is None else sent
    scope = scope_of(*args, **more)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        messages.append(message)

    run(RequestMiddleware(inner)(scope, receive, send))
    return Sent(scope, messages)


def raising(error: BaseException, *, after_start: bool = False) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if after_start:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    return app


# --- its id ------------------------------------------------------------------------------------------


def test_each_request_has_an_id_and_a_context_of_its_own() -> None:
    first, second = (call(Response()) for _ in range(2))
    ids = [request_context(one.scope).origin.request_id for one in (first, second)]
    assert [one.headers["x-request-id"] for one in (first, second)] == ids
    assert len(set(ids)) == 2
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in ids)
    assert request_context(first.scope).origin.address == ADDRESS


@for_each("name", ["x-request-id", "X-Client-Request-Id"])
@for_each(
    ("value", "kept"),
    [("mine-1", "mine-1"), ("~" * 128, "~" * 128), ("~" * 129, None), ("", None), ("a b", None), ("é", None), ("a\n", None)],
)
def test_a_clients_own_id_is_kept_beside_ours_if_it_is_plain(name: str, value: str, kept: str | None) -> None:
    sent = call(Response(), headers={name: value})
    assert request_context(sent.scope).origin.client_request_id == kept
    assert sent.headers["x-request-id"] != value


# --- its headers -------------------------------------------------------------------------------------


def test_every_response_has_the_security_headers_once() -> None:
    for sent in (call(Response()), call(raising(RuntimeError()))):
        assert sent.headers["x-content-type-options"] == "nosniff"
        assert sent.headers["x-frame-options"] == "DENY"
        assert sent.headers["referrer-policy"] == "no-referrer"
        assert sent.headers["cross-origin-resource-policy"] == "same-origin"
        assert sent.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert sent.headers.getlist("cache-control") == ["no-store"]


def test_a_response_may_set_cache_control_and_docs_have_their_own_policy() -> None:
    assert call(Response(headers={"Cache-Control": "public"})).headers.getlist("cache-control") == ["public"]
    assert "script-src 'self'" in call(Response(), "/docs/start.js").headers["content-security-policy"]


def test_the_quota_that_was_learnt_is_in_the_headers() -> None:
    quota = Quota(60, 59, 60)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        change_context(request, quota=quota)
        await Response()(scope, receive, send)

    headers = call(app).headers
    assert {(name, headers[name.decode()].encode()) for name, _ in quota_headers(quota)} == set(quota_headers(quota))
    assert "ratelimit" not in call(Response()).headers


# --- what nothing else caught ------------------------------------------------------------------------


def test_an_unexpected_error_is_500_with_a_record_and_shows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = FakeApp()
    with caplog.at_level(logging.ERROR, "app.api"):
        sent = call(raising(RuntimeError(SECRET)), app=app)
    assert (sent.status, sent.document["code"]) == (500, "internal")
    assert SECRET not in str(sent.messages)
    assert SECRET in caplog.text
    assert [one["details"]["code"] for one in app.records] == ["internal"]


@pytest.mark.parametrize(
    ("error", "status", "code"), [(NotFound(), 404, "not_found"), (asyncio.CancelledError(), 503, "interrupted")]
)
def test_an_error_of_ours_and_a_stop_are_answered_as_such(error: BaseException, status: int, code: str) -> None:
    app = FakeApp()
    sent = call(raising(error), app=app)
    assert (sent.status, sent.document["code"]) == (status, code)
    assert [one["details"]["code"] for one in app.records] == [code]


def test_an_error_after_half_a_response_is_recorded_and_ends_it() -> None:
    app, messages = FakeApp(), list[Message]()
    with pytest.raises(RuntimeError):
        call(raising(RuntimeError(SECRET), after_start=True), app=app, sent=messages)
    assert [one["type"] for one in messages] == ["http.response.start"]
    assert [one["details"]["code"] for one in app.records] == ["internal"]


@pytest.mark.parametrize("status", [200, 304, 399, 400, 416, 500])
def test_a_refusing_response_that_no_error_made_is_recorded(status: int) -> None:
    app = FakeApp()
    call(Response(status_code=status), app=app)
    assert [one["details"]["status"] for one in app.records] == ([status] if status >= 400 else [])


def test_a_path_that_ends_in_a_newline_names_nothing() -> None:
    assert call(Response(), "/livez\n").status == 404


def test_what_is_not_http_passes_untouched() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Any, send: Any) -> None:
        scopes.append(scope)

    run(RequestMiddleware(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert scopes == [{"type": "lifespan"}]


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failed"])
def test_what_a_body_holds_is_given_back_with_the_answer(fails: bool) -> None:
    fake = FakeApp()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        hold_of(request).add(70)
        assert fake.held.total == 70
        if fails:
            raise NotFound
        await Response()(scope, receive, send)

    assert call(app, app=fake).status == (404 if fails else 200)
    assert fake.held.total == 0
