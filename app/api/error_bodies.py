"""What a caller is told of an error: one table from code to status, one body a door (design, section 3)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from ..errors import AppError, AuditCorrupt, InvalidInput, InvalidParameter, TokenError, TokenMissing, TooLarge
from ..upstream.errors import UpstreamRefused

ErrorStyle = Literal["oauth", "openai", "problem"]

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
    "model_not_found": 404,
    "upstream_error": 502,
    "upstream_refused": 502,
    "upstream_denied": 502,
    "upstream_out_of_quota": 502,
    "upstream_unavailable": 503,
    "upstream_timeout": 504,
    "internal": 500,
}
OAUTH_STATUS = {"invalid_request": 400, "unsupported_grant_type": 400, "invalid_scope": 400}
OPENAI_STATUS = {"invalid_request": 400, "upstream_out_of_quota": 429}
OPENAI_CODES = {
    "invalid_token": "invalid_api_key",
    "insufficient_scope": "missing_scope",
    "not_found": "unknown_url",
    "method_not_allowed": "method_not_supported",
    "rate_limited": "rate_limit_exceeded",
    "upstream_out_of_quota": "insufficient_quota",
    "malformed_json": None,
    "invalid_request": None,
}
"""Where OpenAI has a word of its own, or none."""
OPENAI_TYPES = {"rate_limited": "requests", "upstream_out_of_quota": "insufficient_quota"}


class CrossOriginRefused(InvalidInput):
    code = "cross_origin_refused"
    detail = "A script of that origin may not send this. CORS_ORIGINS lists the origins whose scripts may."


class MalformedHttp(InvalidInput):
    code = "malformed_http"
    detail = "This is not a request of HTTP/1.1 (RFC 9112)."


class HeadTooLarge(TooLarge):
    detail = "The request's head is too large."


def status_of(door: ErrorStyle, error: AppError) -> int:
    code = public_code(error)
    if isinstance(error, HeadTooLarge):
        return 431
    if door == "oauth" and code in OAUTH_STATUS:
        return OAUTH_STATUS[code]
    if door == "openai" and isinstance(error, UpstreamRefused):
        return error.status
    if door == "openai" and code in OPENAI_STATUS:
        return OPENAI_STATUS[code]
    return STATUS.get(code, 500)


def body_of(door: ErrorStyle, error: AppError, status: int, request_id: str) -> dict[str, Any]:
    """The JSON document that says *error* at this door."""
    return {"oauth": _oauth_body, "openai": _openai_body, "problem": _problem_body}[door](error, status, request_id)


def public_code(error: AppError) -> str:
    """The code that a body shows. Why a token was refused is told to the record only."""
    if isinstance(error, TokenError) and error.code != "token_expired":
        return "invalid_token"
    return error.code


def _public_detail(error: AppError, code: str) -> str:
    """Likewise; and what is wrong with the log, and what the operator should do, is for the operator."""
    if isinstance(error, AuditCorrupt):
        return AuditCorrupt.detail
    return TokenError.detail if code == "invalid_token" and not isinstance(error, TokenMissing) else error.detail


def _problem_body(error: AppError, status: int, request_id: str) -> dict[str, Any]:
    """RFC 9457."""
    code = public_code(error)
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": _public_detail(error, code),
        "code": code,
        "request_id": request_id,
    }


def _oauth_body(error: AppError, status: int, request_id: str) -> dict[str, Any]:
    """RFC 6749, section 5.2."""
    code = {
        404: "invalid_request",
        405: "invalid_request",
        413: "invalid_request",
        415: "invalid_request",
        500: "server_error",
        429: "temporarily_unavailable",
        503: "temporarily_unavailable",
    }
    return {"error": code.get(status, error.code), "error_description": error.detail}


def _openai_body(error: AppError, status: int, request_id: str) -> dict[str, Any]:
    """OpenAI's envelope, with its own words where it has them, and ours for what it does not know."""
    code = public_code(error)
    word, param = OPENAI_CODES.get(code, code), None
    if isinstance(error, InvalidParameter):
        word, param = error.reason, error.param
    elif isinstance(error, UpstreamRefused):
        word, param = error.reason or error.code, error.param
    kind = OPENAI_TYPES.get(code, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": _public_detail(error, code), "type": kind, "param": param, "code": word}}
