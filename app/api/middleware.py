"""Around every request: its id, the headers of every response, and the last door, which nothing refused leaves unrecorded."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets

from fastapi import Request, Response
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import AppError, Interrupted, NotFound
from ..limits.rate_limits import Quota
from .error_bodies import CrossOriginRefused
from .error_responses import answer_error, record_refusal

LOG = logging.getLogger("app.api")
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
POLICY = b"default-src 'none'; frame-ancestors 'none'"
DOCS_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class RequestMiddleware:
    """ASGI middleware. `x-request-id` is made here, never taken over; a client's own is kept as `client_request_id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(16)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["client_request_id"] = _client_request_id(scope)
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                if message["status"] >= 400 and "is_recorded" not in state:
                    await record_refusal(Request(scope), message["status"])
                started = True
                headers = message["headers"]
                headers.append((b"x-request-id", request_id.encode()))
                headers.extend(SECURITY_HEADERS)
                if all(name.lower() != b"cache-control" for name, _ in message["headers"]):
                    headers.append((b"cache-control", b"no-store"))
                docs = scope["path"].startswith("/docs")
                headers.append((b"content-security-policy", DOCS_POLICY if docs else POLICY))
                quota: Quota | None = state.get("quota")
                if quota is not None:
                    headers.extend((name.lower().encode(), value.encode()) for name, value in quota.headers().items())
            await send(message)

        try:
            if scope["path"].endswith("\n"):
                raise NotFound  # the router's patterns end in $, which overlooks it
            await self._app(scope, receive, send_with_headers)
        except (Exception, asyncio.CancelledError) as error:  # the outermost door: it shows nobody a stack trace
            response = await answer_error(Request(scope), _told(error, request_id))
            if started:
                raise  # half a response: the server closes the connection
            await response(scope, receive, send_with_headers)


def _told(error: BaseException, request_id: str) -> AppError:
    """What the caller is told of an error that nobody answered."""
    if isinstance(error, AppError):
        return error
    if isinstance(error, asyncio.CancelledError):  # nothing but a stop that ran out of grace cancels a request
        return Interrupted()
    LOG.error("request %s failed in a way that nobody foresaw", request_id, exc_info=error)
    return AppError()


class Cors(CORSMiddleware):
    """Starlette's, with our answer for the preflight that it refuses, so that it is recorded as every refusal is."""

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        if response.status_code >= 400:
            raise CrossOriginRefused()
        return response


def _client_request_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name in (b"x-request-id", b"x-client-request-id"):  # the second is OpenAI's name for it
            text: str = value.decode("latin-1")
            return text if re.fullmatch(r"[\x21-\x7e]{1,128}", text) else None
    return None
