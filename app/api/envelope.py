"""Around every request: its id, the headers of every response, and the last door that an unforeseen error meets."""

from __future__ import annotations

import logging
import re
import secrets

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import AppError
from .limits import Quota

LOG = logging.getLogger("app.api")
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
POLICY = b"default-src 'none'; frame-ancestors 'none'"
DOCS_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


class Envelope:
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
                started = True
                headers = message["headers"]
                headers.append((b"x-request-id", request_id.encode()))
                headers.extend(SECURITY_HEADERS)
                docs = scope["path"].startswith("/docs")
                headers.append((b"content-security-policy", DOCS_POLICY if docs else POLICY))
                quota: Quota | None = state.get("quota")
                if quota is not None:
                    headers.extend((name.lower().encode(), value.encode()) for name, value in quota.headers().items())
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:  # the outermost door: it logs, and shows nobody a stack trace
            LOG.exception("request %s failed in a way that nobody foresaw", request_id)
            if started:
                raise  # half a response: the server closes the connection
            await send_with_headers(_start_of_500())
            await send_with_headers({"type": "http.response.body", "body": _body_of_500(request_id)})


def _client_request_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            return text if re.fullmatch(r"[\x21-\x7e]{1,128}", text) else None
    return None


def _start_of_500() -> Message:
    return {
        "type": "http.response.start",
        "status": 500,
        "headers": [(b"content-type", b"application/problem+json")],
    }


def _body_of_500(request_id: str) -> bytes:
    return orjson.dumps(
        {
            "type": "about:blank",
            "title": "Internal Server Error",
            "status": 500,
            "detail": AppError.detail,
            "code": AppError.code,
            "request_id": request_id,
        }
    )
