"""Around every request: its id, its response's headers, and the errors that nothing else caught."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..assistant.models import Origin
from ..errors import AppError, Interrupted, NotFound
from .budget_headers import budget_headers
from .context import RequestContext, address_of, error_style_of, request_context
from .error_responses import answer_error, record_refusal
from .quota_headers import quota_headers
from .trace_context import trace_of

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
    """Makes the RequestContext. `x-request-id` is always new; a client's own is kept beside it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace = trace_of(scope["headers"])
        origin = Origin(secrets.token_hex(16), address_of(scope), _client_request_id(scope), trace=trace)
        state = scope.setdefault("state", {})
        state["context"] = RequestContext(origin)
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                if message["status"] >= 400 and not origin.terminal_record.is_written:
                    await record_refusal(Request(scope), message["status"])
                started = True
                headers = message["headers"]
                headers.append((b"x-request-id", origin.request_id.encode()))
                if error_style_of(scope) == "anthropic":
                    headers.append((b"request-id", origin.request_id.encode()))  # where its SDKs look for it
                headers.extend(SECURITY_HEADERS)
                own = dict(headers)
                if b"cache-control" not in own:
                    headers.append((b"cache-control", b"no-store"))
                if b"content-security-policy" not in own:  # a page of the console brings its own
                    docs = scope["path"].startswith("/docs")
                    headers.append((b"content-security-policy", DOCS_POLICY if docs else POLICY))
                quota = request_context(scope).quota
                for one in (quota, origin.tokens.quota):
                    if one is not None:
                        headers.extend(quota_headers(one))
                if left := origin.budgets.left:
                    headers.extend(budget_headers(left, shows_tokens=origin.tokens.quota is None))
            await send(message)

        try:
            if scope["path"].endswith("\n"):
                raise NotFound  # the router's patterns end in $, which overlooks it
            await self._app(scope, receive, send_with_headers)
        except (Exception, asyncio.CancelledError) as error:  # the outermost catch: nobody sees a stack trace
            response = await answer_error(Request(scope), _as_app_error(error, origin.request_id))
            if started:
                raise  # half a response: the server closes the connection
            await response(scope, receive, send_with_headers)
        finally:
            origin.memory.end()
            if "hold" in state:
                state["hold"].end()


def _as_app_error(error: BaseException, request_id: str) -> AppError:
    """What the caller learns of an error that nothing else answered."""
    if isinstance(error, AppError):
        return error
    if isinstance(error, asyncio.CancelledError):  # nothing but a stop that ran out of grace cancels a request
        return Interrupted()
    LOG.error("request %s failed unexpectedly", request_id, exc_info=error)
    return AppError()


def _client_request_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name in (b"x-request-id", b"x-client-request-id"):  # the second is OpenAI's name for it
            text: str = value.decode("latin-1")
            return text if re.fullmatch(r"[\x21-\x7e]{1,128}", text) else None
    return None
