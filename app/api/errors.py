"""From our errors to HTTP: one table from code to status, one body a door, one record a refusal."""

from __future__ import annotations

import math
from http import HTTPStatus
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
    InvalidClient,
    InvalidInput,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    TokenError,
    TokenMissing,
    TooLarge,
)
from .limits import QuotaExceeded
from .state import Door, address_of, door_of

STATUS = {
    "malformed_json": 400,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid_request": 422,
    "not_found": 404,
    "method_not_allowed": 405,
    "cross_origin_refused": 400,
    "malformed_http": 400,
    "invalid_token": 401,
    "token_expired": 401,
    "invalid_client": 401,
    "insufficient_scope": 403,
    "rate_limited": 429,
    "unavailable": 503,
    "limits_unavailable": 503,
    "audit_unavailable": 503,
    "audit_corrupt": 503,
    "evidence_unavailable": 503,
    "overloaded": 503,
    "interrupted": 503,
    "client_gone": 400,  # nobody reads it
    "upstream_error": 502,
    "upstream_unavailable": 503,
    "upstream_timeout": 504,
    "internal": 500,
}
OAUTH_STATUS = {"invalid_request": 400, "unsupported_grant_type": 400, "invalid_scope": 400}
SMALL_BODY_BYTES = 64 * 1024
REALM = 'realm="secure-ai-assistant"'


class CrossOriginRefused(InvalidInput):
    code = "cross_origin_refused"
    detail = "A script of that origin may not send this. CORS_ORIGINS lists the origins whose scripts may."


class MalformedHttp(InvalidInput):
    code = "malformed_http"
    detail = "This is not a request of HTTP/1.1 (RFC 9112)."


class HeadTooLarge(TooLarge):
    detail = "The request's head is too large."


async def answer_error(request: Request, error: Exception) -> Response:
    """Record the refusal (unless its record stands already), then say it. Every error ends here, whoever raised it."""
    problem = error if isinstance(error, AppError) else _from_http(error)
    status = _status(request, problem)
    if not (problem.recorded or getattr(request.state, "is_recorded", False)):
        await _record(request, problem, status)
    request.state.is_recorded = True
    response = _oauth_body(problem, status) if door_of(request) == "oauth" else _problem_body(request, problem, status)
    _add_headers(request, response, problem, status, error)
    return response


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


def _public_code(error: AppError) -> str:
    """The code that a body shows. Why a token was refused is told to the record only."""
    if isinstance(error, TokenError) and error.code != "token_expired":
        return "invalid_token"
    return error.code


def _public_detail(error: AppError, code: str) -> str:
    """Likewise; and what is wrong with the log, and what the operator should do, is for the operator."""
    if isinstance(error, AuditCorrupt):
        return AuditCorrupt.detail
    return TokenError.detail if code == "invalid_token" and not isinstance(error, TokenMissing) else error.detail


def _status(request: Request, error: AppError) -> int:
    code = _public_code(error)
    if isinstance(error, HeadTooLarge):
        return 431
    if door_of(request) == "oauth" and code in OAUTH_STATUS:
        return OAUTH_STATUS[code]
    return STATUS.get(code, 500)


async def _record(request: Request, error: AppError, status: int) -> None:
    door: Door | None = getattr(request.app.state, "door", None)
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


def _problem_body(request: Request, error: AppError, status: int) -> Response:
    code = _public_code(error)
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _public_detail(error, code),
        "code": code,
        "request_id": request.state.request_id,
    }
    return Response(orjson.dumps(body), status, media_type="application/problem+json")


def _oauth_body(error: AppError, status: int) -> Response:
    code = {
        404: "invalid_request",
        405: "invalid_request",
        413: "invalid_request",
        415: "invalid_request",
        500: "server_error",
        429: "temporarily_unavailable",
        503: "temporarily_unavailable",
    }
    body = {"error": code.get(status, error.code), "error_description": error.detail}
    response = Response(orjson.dumps(body), status, media_type="application/json")
    response.headers["Pragma"] = "no-cache"
    return response


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
    elif status in (429, 503):
        headers["Retry-After"] = "2"
    if status == 401 and door_of(request) == "oauth":
        headers["WWW-Authenticate"] = f"Basic {REALM}"
    elif isinstance(error, TokenMissing):  # RFC 6750, section 3.1: no code where no credentials were sent
        headers["WWW-Authenticate"] = f"Bearer {REALM}"
    elif status == 401:
        headers["WWW-Authenticate"] = f'Bearer {REALM}, error="invalid_token"'
    elif isinstance(error, InsufficientScope):
        scope = getattr(request.state, "needed_role", "")
        headers["WWW-Authenticate"] = f'Bearer {REALM}, error="insufficient_scope", scope="{scope}"'
