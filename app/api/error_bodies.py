"""What a caller learns of an error: its status, and a body in one of four styles.

`problem` is RFC 9457, `oauth` RFC 6749; `openai` and `anthropic` are those that their SDKs read.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Literal

from ..errors import AppError, AuditCorrupt, InvalidParameter, LogUnreadable, ServerUnavailable
from ..kit.command import as_documented
from ..security.api_keys.form import KeyRefused
from ..security.token_errors import TokenError, TokenMalformed
from ..upstream.errors import UpstreamBusy, UpstreamRefused
from .http_errors import HeadTooLarge, TokenMissing

ErrorStyle = Literal["anthropic", "oauth", "openai", "problem"]

STATUS = {
    "malformed_http": 400,
    "request_timeout": 408,
    "invalid_timeout": 400,
    "malformed_body": 400,
    "malformed_json": 400,
    "cross_origin_refused": 400,
    "client_gone": 400,  # nobody reads it
    "unsupported_grant_type": 400,
    "invalid_scope": 400,
    "context_length_exceeded": 400,
    "protocol_not_served": 400,
    "model_without_price": 400,
    "invalid_token": 401,
    "token_expired": 401,
    "invalid_client": 401,
    "insufficient_scope": 403,
    "not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "last_admin": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "invalid_request": 422,
    "rate_limited": 429,
    "insufficient_quota": 429,
    "internal": 500,
    "upstream_error": 502,
    "upstream_refused": 502,
    "upstream_denied": 502,
    "upstream_out_of_quota": 502,
    "upstream_unavailable": 503,
    "unavailable": 503,
    "limits_unavailable": 503,
    "budgets_unavailable": 503,
    "audit_unavailable": 503,
    "audit_corrupt": 503,
    "evidence_unavailable": 503,
    "overloaded": 503,
    "too_many_connections": 503,
    "too_much_in_flight": 503,
    "interrupted": 503,
    "upstream_timeout": 504,
    # No endpoint answers with these: they stop a command, or become another error.
    "config_invalid": 500,
    "verification_failed": 500,
    "call_failed": 500,
    "usage": 500,
}
"""The status of every public code."""
OWN_STATUS: dict[ErrorStyle, dict[str, int]] = {
    "problem": {},
    "oauth": {"invalid_request": 400},
    "openai": {"invalid_request": 400, "upstream_out_of_quota": 429},
    "anthropic": {"invalid_request": 400, "upstream_out_of_quota": 402},
}
"""Codes whose status differs in one style."""
OAUTH_ERRORS = {
    404: "invalid_request",
    405: "invalid_request",
    413: "invalid_request",
    415: "invalid_request",
    429: "temporarily_unavailable",
    500: "server_error",
    503: "temporarily_unavailable",
}
"""RFC 6749 has no words of its own for these statuses."""
OAUTH_CODES = {"malformed_body": "invalid_request"}
OPENAI_CODES = {
    "invalid_token": "invalid_api_key",
    "insufficient_scope": "missing_scope",
    "not_found": "unknown_url",
    "method_not_allowed": "method_not_supported",
    "rate_limited": "rate_limit_exceeded",
    "upstream_out_of_quota": "insufficient_quota",
    "malformed_body": None,
    "malformed_json": None,
    "invalid_request": None,
}
"""Codes for which OpenAI has another word; None: it has none."""
ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
"""Any other status is an invalid_request_error below 500, and an api_error from there on."""
OVERLOADED = frozenset({"overloaded", "upstream_unavailable"})
"""To Anthropic's clients these are an overloaded_error, which passes by itself."""
OPENAI_TYPES = {
    "rate_limited": "requests",
    "upstream_out_of_quota": "insufficient_quota",
    "insufficient_quota": "insufficient_quota",
}
HINTS = {
    "invalid_token": "Ask POST /token for a new one.",
    "token_expired": "Ask POST /token for a new one.",
    "rate_limited": "Wait as long as Retry-After says.",
    "model_not_found": "GET /v1/models lists yours.",
}
"""What a caller of this API can do about it, after the sentence of the error."""
SEND_ONE = (
    "Send one API key, which begins with saa_, or one access token, and nothing else: "
    "Authorization: Bearer <it>, or x-api-key: <it>."
)
"""For something that cannot be a token, or that was sent with a second credential."""


def status_of(style: ErrorStyle, error: AppError) -> int:
    if isinstance(error, HeadTooLarge):
        return error.status
    if style in ("openai", "anthropic") and isinstance(error, UpstreamRefused):
        return error.status
    code = public_code(error)
    return OWN_STATUS[style].get(code, STATUS[code])


def body_of(style: ErrorStyle, error: AppError, status: int, request_id: str) -> dict[str, Any]:
    """The JSON document for *error* in this style."""
    if style == "oauth":
        return _oauth_body(error, status)
    if style == "openai":
        return _openai_body(error, status)
    if style == "anthropic":
        return _anthropic_body(error, status, request_id)
    return _problem_body(error, status, request_id)


def public_code(error: AppError) -> str:
    """The code that a body shows. Only the record says why a token was refused."""
    if isinstance(error, TokenError) and error.code != "token_expired":
        return "invalid_token"
    return error.code


def public_detail(error: AppError) -> str:
    """The sentence that a body shows.

    It hides why a token, the log or a server is refused, and where on this host the program is.
    """
    if isinstance(error, TokenMissing | KeyRefused):
        return error.detail
    if isinstance(error, TokenMalformed):
        return SEND_ONE
    if isinstance(error, AuditCorrupt | LogUnreadable | ServerUnavailable):
        return type(error).detail
    code = public_code(error)
    detail = TokenError.detail if code == "invalid_token" else as_documented(error.detail)
    return f"{detail} {HINTS[code]}" if code in HINTS else detail


def _problem_body(error: AppError, status: int, request_id: str) -> dict[str, Any]:
    """RFC 9457."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": public_detail(error),
        "code": public_code(error),
        "request_id": request_id,
    }


def _oauth_body(error: AppError, status: int) -> dict[str, Any]:
    """RFC 6749, section 5.2."""
    code = public_code(error)
    return {"error": OAUTH_ERRORS.get(status, OAUTH_CODES.get(code, code)), "error_description": public_detail(error)}


def _openai_body(error: AppError, status: int) -> dict[str, Any]:
    """OpenAI's envelope. For an error in one member, *param* and the code come with the error."""
    code = public_code(error)
    word, param = OPENAI_CODES.get(code, code), None
    if isinstance(error, InvalidParameter):
        word, param = error.reason, error.param
    elif isinstance(error, UpstreamRefused):
        word, param = error.reason or error.code, error.param
    elif isinstance(error, UpstreamBusy) and error.reason:
        word = error.reason
    kind = OPENAI_TYPES.get(code, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": public_detail(error), "type": kind, "param": param, "code": word}}


def _anthropic_body(error: AppError, status: int, request_id: str) -> dict[str, Any]:
    """Anthropic's envelope. Its SDKs read the code from the details."""
    code = public_code(error)
    kind = ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    details: dict[str, Any] = {"error_code": code}
    if isinstance(error, InvalidParameter | UpstreamRefused):
        details |= {"param": error.param, "reason": error.reason}
    elif isinstance(error, UpstreamBusy) and error.reason:
        details["reason"] = error.reason
    shown = {"type": "overloaded_error" if code in OVERLOADED else kind, "message": public_detail(error), "details": details}
    return {"type": "error", "error": shown, "request_id": request_id}
