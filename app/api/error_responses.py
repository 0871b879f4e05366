"""From our errors to HTTP: each is recorded once, then said in the words of its door, with the headers that belong to it."""

from __future__ import annotations

import math
from typing import Any

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from ..errors import (
    AppError,
    AuditCorrupt,
    AuditUnavailable,
    InsufficientScope,
    InvalidInput,
    InvalidParameter,
    InvalidRequest,
    MethodNotAllowed,
    ModelNotFound,
    NotFound,
    Overloaded,
    TokenMissing,
    TooLarge,
)
from ..limits.rate_limits import QuotaExceeded
from ..security.oauth_errors import InvalidClient
from .context import AppContext, address_of, error_style_of
from .error_bodies import body_of, status_of

POINTLESS = frozenset(
    {
        *("audit_unavailable", "audit_corrupt", "internal"),
        *("upstream_refused", "upstream_denied", "upstream_out_of_quota"),
    }
)
"""Where an SDK that tries again at once only triples the refusal."""
SMALL_BODY_BYTES = 64 * 1024
REALM = 'realm="secure-ai-assistant"'


async def answer_error(request: Request, error: Exception) -> Response:
    """Record the refusal (unless its record stands already), then say it. Every error ends here, whoever raised it."""
    problem = error if isinstance(error, AppError) else _from_http(error)
    door = error_style_of(request)
    status = status_of(door, problem)
    if not (problem.recorded or getattr(request.state, "is_recorded", False)):
        await _record(request, problem, status)
    request.state.is_recorded = True
    media_type = "application/problem+json" if door == "problem" else "application/json"
    body = orjson.dumps(body_of(door, problem, status, request.state.request_id))
    response = Response(body, status, media_type=media_type)
    _add_headers(request, response, problem, status, error)
    return response


async def stream_error_document(request: Request, error: AppError) -> bytes:
    """The document that says *error* after the head of the answer has gone; it is recorded unless its record stands already."""
    door = error_style_of(request)
    status = status_of(door, error)
    if not error.recorded:
        await _record(request, error, status)
    return orjson.dumps(body_of(door, error, status, request.state.request_id))


async def record_refusal(request: Request, status: int) -> None:
    """For a response of 400 and above that is nobody's error, such as the range of a file that is not that long."""
    request.state.is_recorded = True
    await _record(request, InvalidInput() if status < 500 else AppError(), status)


def _from_http(error: Exception) -> AppError:
    """What FastAPI refuses by itself: a parameter of the address, or (the router) an address or a method."""
    if isinstance(error, RequestValidationError):
        return InvalidRequest("A parameter of this address cannot be used: see the documentation.")
    assert isinstance(error, HTTPException)
    known: dict[int, type[AppError]] = {404: NotFound, 405: MethodNotAllowed, 413: TooLarge}
    return known.get(error.status_code, NotFound)()


async def _record(request: Request, error: AppError, status: int) -> None:
    door: AppContext | None = getattr(request.app.state, "door", None)
    if door is None:
        return  # the service is not open: there is nothing to write to
    state = request.state
    user_id = getattr(state, "user_id", None)
    route = _template(request)
    address = address_of(request)
    if isinstance(error, AuditCorrupt):
        door.services.events.event(error.code, level="CRITICAL", request_id=state.request_id, detail=error.detail)
    if isinstance(error, AuditUnavailable):
        door.services.events.event(
            error.code, level="ERROR", user_id=user_id, address=address, request_id=state.request_id, route=route
        )
        door.slot.refused += 1
        return
    details: dict[str, Any] = {
        "status": status,
        "code": error.code,
        "method": request.method[:16] or None,
        "route": route,
        "address": address,
        **({"client_request_id": state.client_request_id} if state.client_request_id else {}),
    }
    if isinstance(error, InvalidParameter):
        details |= {"param": error.param, "reason": error.reason}
    if isinstance(error, ModelNotFound):
        name = error.model[:200].encode("utf-8", "backslashreplace").decode()
        details |= {"model": name, "is_known": error.is_known}
    if isinstance(error, InvalidClient):
        details |= {"reason": error.reason, "client_id": error.client_id}
    policy = isinstance(error, InsufficientScope | Overloaded)
    await door.refusals.record(user_id=user_id, request_id=state.request_id, details=details, policy=policy)


def _template(request: Request) -> str | None:
    """The path of the route that was found, if one was."""
    scope = request.scope
    if "route" in scope:
        return getattr(scope["route"], "path", None)
    found = scope.get("endpoint")  # Starlette's own routes, and what is mounted, leave only this
    routes = [route for route in request.app.routes if found in (getattr(route, "endpoint", None), getattr(route, "app", None))]
    return getattr(routes[0], "path", None) if found and routes else None


def _has_unread_body(request: Request) -> bool:
    """Whether more of a body than a few reads may still come."""
    if getattr(request.state, "body_read", False):
        return False
    length = request.headers.get("content-length", "0")
    return "transfer-encoding" in request.headers or not length.isdecimal() or int(length[:20]) > SMALL_BODY_BYTES


def _add_headers(request: Request, response: Response, error: AppError, status: int, original: Exception) -> None:
    headers = response.headers
    if isinstance(original, HTTPException) and original.headers and "allow" in {name.lower() for name in original.headers}:
        headers["Allow"] = {name.lower(): value for name, value in original.headers.items()}["allow"]
    if isinstance(error, QuotaExceeded):
        headers.update(error.quota.headers())
    if _has_unread_body(request):  # else the server reads, and throws away, as long as the caller cares to send
        headers["Connection"] = "close"
    if error.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
        headers["retry-after-ms"] = str(max(1, math.ceil(1000 * error.retry_after)))
    elif status in (429, 503) and error.code not in POINTLESS:
        headers["Retry-After"] = "2"
    if error.code in POINTLESS:
        headers["x-should-retry"] = "false"
    if error_style_of(request) == "oauth":
        headers["Pragma"] = "no-cache"
    if status == 401 and error_style_of(request) == "oauth":
        headers["WWW-Authenticate"] = f"Basic {REALM}"
    elif isinstance(error, TokenMissing):  # RFC 6750, section 3.1: no code where no credentials were sent
        headers["WWW-Authenticate"] = f"Bearer {REALM}"
    elif status == 401:
        headers["WWW-Authenticate"] = f'Bearer {REALM}, error="invalid_token"'
    elif isinstance(error, InsufficientScope):
        scope = getattr(request.state, "needed_role", "")
        headers["WWW-Authenticate"] = f'Bearer {REALM}, error="insufficient_scope", scope="{scope}"'
