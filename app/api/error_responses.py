"""From an error to its response: recorded once, in the style of the endpoint, with its headers."""

from __future__ import annotations

import math
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException

from ..errors import (
    AppError,
    AuditCorrupt,
    AuditUnavailable,
    InsufficientScope,
    InvalidInput,
    InvalidParameter,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    ServerUnavailable,
)
from ..kit.content_coding import CODINGS
from ..kit.secret_look import masked, masked_path
from ..limits.budgets.errors import BudgetSpent, ModelWithoutPrice
from ..limits.quota import QuotaExceeded
from ..security.api_keys.form import KeyRefused
from ..security.oauth_errors import InvalidClient
from .addresses import nothing_at
from .context import AppContext, declared_bytes, error_style_of, request_context
from .description import description_of
from .error_bodies import ErrorStyle, body_of, status_of
from .http_errors import MalformedHttp, MethodNotAllowed, TokenMissing, TooLarge, UnsupportedCoding
from .public_address import RESOURCE, public_address
from .quota_headers import quota_headers

POINTLESS = frozenset(
    {
        *("audit_unavailable", "audit_corrupt", "internal", "upstream_timeout"),
        *("upstream_refused", "upstream_denied", "upstream_out_of_quota", "context_length_exceeded"),
        *("protocol_not_served", "invalid_key", "insufficient_quota", "model_without_price"),
    }
)
"""A client that retries after one of these at once would only repeat the refusals.

Without the header, Claude Code tries a revoked key for three minutes before it shows the reason."""
RETRY_AFTER_SECONDS = "2"
"""For a 429 or 503 whose error names no time."""
SMALL_BODY_BYTES = 64 * 1024
MAX_METHOD, MAX_MODEL, MAX_CLIENT_ID, MAX_PATH = 16, 200, 80, 300
"""Characters in a record. What looks like a secret is a digest there."""
REALM = 'realm="secure-ai-assistant"'


async def answer_error(request: Request, error: Exception) -> Response:
    """Record the refusal, unless the request has its record, and make the response."""
    problem = error if isinstance(error, AppError) else await _from_framework(request, error)
    style = error_style_of(request)
    status = status_of(style, problem)
    await _record_once(request, problem, status)
    media_type = "application/problem+json" if style == "problem" else "application/json"
    response = Response(_document(request, style, problem, status), status, media_type=media_type)
    headers = response.headers
    if isinstance(problem, MethodNotAllowed):
        headers["Allow"] = _methods_of(request, error)
    if isinstance(problem, UnsupportedCoding):
        headers["Accept-Encoding"] = ", ".join(CODINGS)
    if isinstance(problem, QuotaExceeded):
        headers.raw.extend(quota_headers(problem.quota))
    if _has_unread_body(request):  # else the server reads and discards it for as long as it comes
        headers["Connection"] = "close"
    headers.update(_retry_headers(problem, status))
    headers.update(_authentication_headers(style, problem, status, request))
    return response


async def stream_error_document(request: Request, error: AppError) -> bytes:
    """Record the refusal as `answer_error` does, and make the JSON document of an error event."""
    style = error_style_of(request)
    status = status_of(style, error)
    await _record_once(request, error, status)
    return _document(request, style, error, status)


async def record_refusal(request: Request, status: int) -> None:
    """For a response of 400 or above that no AppError made, such as a refused preflight."""
    request_context(request).origin.terminal_record.is_written = True
    await _record(request, InvalidInput() if status < 500 else AppError(), status)


def _document(request: Request, style: ErrorStyle, error: AppError, status: int) -> bytes:
    return orjson.dumps(body_of(style, error, status, request_context(request).origin.request_id))


async def _from_framework(request: Request, error: Exception) -> AppError:
    """What FastAPI itself refuses: a parameter, an address or a method."""
    if isinstance(error, RequestValidationError):
        return InvalidRequest("A parameter of this address cannot be used: see the documentation.")
    assert isinstance(error, HTTPException)
    known: dict[int, type[AppError]] = {405: MethodNotAllowed, 413: TooLarge}
    if error.status_code in known:
        return known[error.status_code]()
    return nothing_at(request.scope["path"], (await description_of(request.app))["paths"])


async def _record_once(request: Request, error: AppError, status: int) -> None:
    record = request_context(request).origin.terminal_record
    if record.is_written:
        return
    await _record(request, error, status)
    record.is_written = True


async def _record(request: Request, error: AppError, status: int) -> None:
    app: AppContext | None = getattr(request.app.state, "context", None)
    if app is None:
        return  # the service is not open: there is no log to write to
    context = request_context(request)
    origin = context.origin
    known: dict[str, Any] = {"user_id": context.user_id, "request_id": origin.request_id}
    route = _template(request)
    if isinstance(error, AuditCorrupt | ServerUnavailable):
        level = "CRITICAL" if isinstance(error, AuditCorrupt) else "ERROR"
        app.services.events.event(error.code, level=level, request_id=origin.request_id, detail=error.detail)
    if isinstance(error, AuditUnavailable):
        app.services.events.event(error.code, level="ERROR", **known, address=origin.address, route=route)
        app.slot.refused += 1
        return
    details: dict[str, Any] = {
        "status": status,
        "code": error.code,
        "method": request.method[:MAX_METHOD] or None,
        "route": route,
        "address": origin.address,
        **({"client_request_id": origin.client_request_id} if origin.client_request_id else {}),
        **({"trace_id": origin.trace.trace_id} if origin.trace else {}),
        **_details_of(error),
        **({"credential": context.credential} if context.credential else {}),
        **({"path": masked_path(request.scope["path"], MAX_PATH)} if status == 404 else {}),
        **({"asserted_user": origin.asserted_user.members()} if origin.asserted_user else {}),
    }
    is_policy = isinstance(error, InsufficientScope | Overloaded | BudgetSpent)
    await app.refusals.record(**known, details=details, policy=is_policy)


def _details_of(error: AppError) -> dict[str, Any]:
    """What the record of a refusal holds besides, for some errors."""
    if isinstance(error, InvalidParameter):
        return {"param": error.param, "reason": error.reason}
    if isinstance(error, ModelNotFound):
        name = error.model[:MAX_MODEL] if error.is_known else masked(error.model, MAX_MODEL)
        return {"model": name, "is_known": error.is_known}
    if isinstance(error, BudgetSpent):
        return {"budget": error.budget_id}
    if isinstance(error, ModelWithoutPrice):
        return {"model": error.model}
    if isinstance(error, KeyRefused):
        return {"reason": error.reason, **({"key_id": error.key_id} if error.key_id else {})}
    if isinstance(error, InvalidClient):
        client_id, shown = error.client_id, masked(error.client_id or "", MAX_CLIENT_ID)  # always made: both cases take as long
        return {"reason": error.reason, "client_id": shown if client_id and error.reason == "unknown_client" else client_id}
    return {}


def _template(request: Request) -> str | None:
    """The path of the route that was found, if one was."""
    scope = request.scope
    if "route" in scope:
        return getattr(scope["route"], "path", None)
    found = scope.get("endpoint")  # Starlette's own routes, and what is mounted, leave only this
    routes = [route for route in request.app.routes if found in (getattr(route, "endpoint", None), getattr(route, "app", None))]
    return getattr(routes[0], "path", None) if found and routes else None


def _methods_of(request: Request, error: Exception) -> str:
    """Of all routes of this address. The framework names those of one of them."""
    named = (getattr(error, "headers", None) or {}).get("Allow", "")
    found, template = set(filter(None, named.split(", "))), _template(request)
    for route in iter_route_contexts(request.app.routes):
        if template is not None and route.path == template:
            found |= route.methods or {"GET", "HEAD"}  # none for a folder of files
    return ", ".join(sorted(found))


def _has_unread_body(request: Request) -> bool:
    """Whether more of a body than a few reads may still come."""
    if request_context(request).is_body_read:
        return False
    declared = declared_bytes(request)
    return "transfer-encoding" in request.headers or declared is None or declared > SMALL_BODY_BYTES


def _retry_headers(error: AppError, status: int) -> dict[str, str]:
    """When to try again. The names besides Retry-After are those that OpenAI's SDKs read."""
    headers = {"x-should-retry": "false"} if error.code in POINTLESS else {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
        headers["retry-after-ms"] = str(max(1, math.ceil(1000 * error.retry_after)))
    elif status in (429, 503) and error.code not in POINTLESS:
        headers["Retry-After"] = RETRY_AFTER_SECONDS
    return headers


def _authentication_headers(style: ErrorStyle, error: AppError, status: int, request: Request) -> dict[str, str]:
    """RFC 6749, section 5.1 and 5.2, at the token endpoint; RFC 6750, section 3, elsewhere."""
    if style == "oauth":
        return {"Pragma": "no-cache", **({"WWW-Authenticate": f"Basic {REALM}"} if status == 401 else {})}
    if isinstance(error, TokenMissing):  # RFC 6750, section 3.1: no code where no credentials were sent
        return {"WWW-Authenticate": f"Bearer {REALM}{_resource_metadata(request)}"}
    if status == 401:
        return {"WWW-Authenticate": f'Bearer {REALM}, error="invalid_token"{_resource_metadata(request)}'}
    if isinstance(error, InsufficientScope):
        return {"WWW-Authenticate": f'Bearer {REALM}, error="insufficient_scope", scope="{error.needed_role}"'}
    return {}


def _resource_metadata(request: Request) -> str:
    """RFC 9728, section 5.1. Nothing where the request does not say how it reached us."""
    try:
        return f', resource_metadata="{public_address(request)}{RESOURCE}"'
    except MalformedHttp:
        return ""
