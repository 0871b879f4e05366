"""Statuses and bodies of all errors, in the four styles."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from app.api.error_bodies import (
    HINTS,
    OAUTH_ERRORS,
    OPENAI_CODES,
    OPENAI_TYPES,
    OVERLOADED,
    OWN_STATUS,
    SEND_ONE,
    STATUS,
    ErrorStyle,
    body_of,
    public_code,
    public_detail,
    status_of,
)
from app.api.error_responses import POINTLESS
from app.api.http_errors import CrossOriginRefused, HeadTooLarge, MalformedJson, MethodNotAllowed, TokenMissing, TooLarge
from app.errors import (
    AppError,
    AuditCorrupt,
    InsufficientScope,
    InvalidParameter,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    Overloaded,
    RateLimited,
    ServerUnavailable,
    UpstreamTimeout,
)
from app.kit.command import command
from app.security.api_keys.form import KeyRefused
from app.security.oauth_errors import InvalidClient, InvalidScope
from app.security.token_errors import TokenBadSignature, TokenError, TokenExpired, TokenMalformed
from app.upstream.errors import ProtocolNotServed, UpstreamBusy, UpstreamOutOfQuota, UpstreamRefused

from ...support.error_tree import every_error_class, example_of
from ...support.tables import for_each

STYLES: tuple[ErrorStyle, ...] = get_args(ErrorStyle)
EVERY = every_error_class()
ID = "0123456789abcdef" * 2


@for_each("kind", EVERY)
def test_every_error_has_a_status_and_a_body_at_each_kind_of_endpoint(kind: type[AppError]) -> None:
    error = example_of(kind)
    assert public_code(error) in STATUS, "a new code needs a row in STATUS"
    for style in STYLES:
        status = status_of(style, error)
        assert 400 <= status <= 504
        body = body_of(style, error, status, ID)
        sentence = {"problem": body.get("detail"), "oauth": body.get("error_description")}.get(style)
        assert public_detail(error) == (sentence if style in ("problem", "oauth") else body["error"]["message"])
        assert public_detail(error).endswith(".")


def test_no_table_has_a_row_for_a_code_that_is_gone() -> None:
    codes = {public_code(example_of(kind)) for kind in EVERY}
    assert set(STATUS) == codes
    assert {*HINTS, *OPENAI_CODES, *OPENAI_TYPES, *OVERLOADED} <= codes
    assert set(POINTLESS) <= {example_of(kind).code for kind in EVERY}
    assert all(set(own) <= codes for own in OWN_STATUS.values())
    assert set(OAUTH_ERRORS) <= {status_of("oauth", example_of(kind)) for kind in EVERY}


@for_each(
    ("error", "problem", "oauth", "openai"),
    [
        (AppError(), (500, "internal"), (500, "server_error"), (500, "server_error", "internal")),
        (NotFound(), (404, "not_found"), (404, "invalid_request"), (404, "invalid_request_error", "unknown_url")),
        (
            MethodNotAllowed(),
            (405, "method_not_allowed"),
            (405, "invalid_request"),
            (405, "invalid_request_error", "method_not_supported"),
        ),
        (InvalidRequest(), (422, "invalid_request"), (400, "invalid_request"), (400, "invalid_request_error", None)),
        (MalformedJson(), (400, "malformed_json"), (400, "malformed_json"), (400, "invalid_request_error", None)),
        (TooLarge(), (413, "too_large"), (413, "invalid_request"), (413, "invalid_request_error", "too_large")),
        (HeadTooLarge(), (431, "too_large"), (431, "too_large"), (431, "invalid_request_error", "too_large")),
        (RateLimited(), (429, "rate_limited"), (429, "temporarily_unavailable"), (429, "requests", "rate_limit_exceeded")),
        (TokenExpired(), (401, "token_expired"), (401, "token_expired"), (401, "invalid_request_error", "token_expired")),
        (TokenMissing(), (401, "invalid_token"), (401, "invalid_token"), (401, "invalid_request_error", "invalid_api_key")),
        (
            InsufficientScope("ai.playground.user"),
            (403, "insufficient_scope"),
            (403, "insufficient_scope"),
            (403, "invalid_request_error", "missing_scope"),
        ),
        (InvalidClient(), (401, "invalid_client"), (401, "invalid_client"), (401, "invalid_request_error", "invalid_client")),
        (InvalidScope(), (400, "invalid_scope"), (400, "invalid_scope"), (400, "invalid_request_error", "invalid_scope")),
        (UpstreamTimeout(), (504, "upstream_timeout"), (504, "upstream_timeout"), (504, "server_error", "upstream_timeout")),
        (
            UpstreamOutOfQuota(),
            (502, "upstream_out_of_quota"),
            (502, "upstream_out_of_quota"),
            (429, "insufficient_quota", "insufficient_quota"),
        ),
        (AuditCorrupt(), (503, "audit_corrupt"), (503, "temporarily_unavailable"), (503, "server_error", "audit_corrupt")),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AppError) else "",
)
def test_an_error_has_its_own_words_in_each_style(
    error: AppError, problem: tuple[int, str], oauth: tuple[int, str], openai: tuple[int, str, str | None]
) -> None:
    bodies: dict[str, Any] = {style: body_of(style, error, status_of(style, error), ID) for style in STYLES}
    assert (status_of("problem", error), bodies["problem"]["code"]) == problem
    assert (status_of("oauth", error), bodies["oauth"]["error"]) == oauth
    told = bodies["openai"]["error"]
    assert (status_of("openai", error), told["type"], told["code"]) == openai


@for_each(
    ("error", "status", "kind", "details"),
    [
        (InvalidRequest(), 400, "invalid_request_error", {"error_code": "invalid_request"}),
        (
            InvalidParameter("max_tokens", "is at most 9.", reason="integer_above_max_value"),
            400,
            "invalid_request_error",
            {"error_code": "invalid_request", "param": "max_tokens", "reason": "integer_above_max_value"},
        ),
        (TokenBadSignature(), 401, "authentication_error", {"error_code": "invalid_token"}),
        (UpstreamOutOfQuota(), 402, "billing_error", {"error_code": "upstream_out_of_quota"}),
        (InsufficientScope("a.b"), 403, "permission_error", {"error_code": "insufficient_scope"}),
        (ModelNotFound("m", is_known=False), 404, "not_found_error", {"error_code": "model_not_found"}),
        (MethodNotAllowed(), 405, "invalid_request_error", {"error_code": "method_not_allowed"}),
        (
            UpstreamRefused(409, "taken", None),
            409,
            "conflict_error",
            {"error_code": "upstream_refused", "param": None, "reason": "taken"},
        ),
        (TooLarge(), 413, "request_too_large", {"error_code": "too_large"}),
        (HeadTooLarge(), 431, "invalid_request_error", {"error_code": "too_large"}),
        (RateLimited(), 429, "rate_limit_error", {"error_code": "rate_limited"}),
        (AppError(), 500, "api_error", {"error_code": "internal"}),
        (
            UpstreamBusy("overloaded_error"),
            503,
            "overloaded_error",
            {"error_code": "upstream_unavailable", "reason": "overloaded_error"},
        ),
        (Overloaded(), 503, "overloaded_error", {"error_code": "overloaded"}),
        (AuditCorrupt(), 503, "api_error", {"error_code": "audit_corrupt"}),
        (UpstreamTimeout(), 504, "timeout_error", {"error_code": "upstream_timeout"}),
        (ProtocolNotServed(), 400, "invalid_request_error", {"error_code": "protocol_not_served"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AppError) else "",
)
def test_anthropics_envelope_has_its_own_types_and_our_code(
    error: AppError, status: int, kind: str, details: dict[str, Any]
) -> None:
    assert status_of("anthropic", error) == status
    assert body_of("anthropic", error, status, ID) == {
        "type": "error",
        "error": {"type": kind, "message": public_detail(error), "details": details},
        "request_id": ID,
    }


def test_a_problem_body_has_the_members_of_rfc_9457_in_their_order() -> None:
    assert body_of("problem", NotFound("The log has no such record."), 404, ID) == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "The log has no such record.",
        "code": "not_found",
        "request_id": ID,
    }
    assert list(body_of("problem", NotFound(), 404, ID)) == ["type", "title", "status", "detail", "code", "request_id"]


def test_an_oauth_body_has_the_two_members_of_rfc_6749() -> None:
    assert body_of("oauth", InvalidClient("wrong_secret", "alice"), 401, ID) == {
        "error": "invalid_client",
        "error_description": "The client is unknown or its secret is wrong.",
    }


def test_an_openai_body_names_the_member_and_the_reason() -> None:
    error = InvalidParameter("n", "is too large.", reason="integer_above_max_value")
    assert body_of("openai", error, 400, ID) == {
        "error": {
            "message": "n is too large.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "integer_above_max_value",
        }
    }


def test_only_openai_callers_see_the_upstreams_own_status_and_words() -> None:
    error = UpstreamRefused(409, "busy", "messages[0].content")
    assert [status_of(style, error) for style in ("problem", "oauth", "openai")] == [502, 502, 409]
    told = body_of("openai", error, 409, ID)["error"]
    assert (told["code"], told["param"], told["message"]) == (
        "busy",
        "messages[0].content",
        "The model's server does not take messages[0].content as it is.",
    )
    assert body_of("openai", UpstreamRefused(400), 400, ID)["error"]["code"] == "upstream_refused"


@for_each("kind", [kind for kind in EVERY if issubclass(kind, TokenError) and kind not in (TokenMissing, TokenExpired)])
def test_a_body_never_says_why_a_token_was_refused(kind: type[AppError]) -> None:
    error = kind("The signature of alice's token is wrong.")
    assert public_code(error) == "invalid_token"
    for style in STYLES:
        body = str(body_of(style, error, 401, ID))
        assert "alice" not in body
        assert "signature" not in body
        assert kind is TokenError or kind.code not in body


@pytest.mark.parametrize("kind", [AuditCorrupt, ServerUnavailable])
def test_a_body_never_says_what_is_wrong_with_a_log_or_server(kind: type[AppError]) -> None:
    error = kind("The log /srv/logs/audit_log.jsonl is shorter than it was.")
    assert all("/srv" not in str(body_of(style, error, 503, ID)) for style in STYLES)


def test_a_command_in_a_body_has_no_path_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURE_AI_COMMAND", "/srv/app/.venv/bin/python -m app")
    error = InvalidRequest(f"There is no such client. {command('clients list')} shows all clients.")
    assert public_detail(error) == "There is no such client. python -m app clients list shows all clients."
    assert all("/srv" not in str(body_of(style, error, 422, ID)) for style in STYLES)


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (TokenMissing(), TokenMissing.detail),
        (KeyRefused("revoked", "a" * 11), KeyRefused.detail),
        (TokenMalformed("Alice's token has two parts."), SEND_ONE),
        (TokenBadSignature(), "The access token is not valid. Ask POST /token for a new one."),
        (TokenExpired(), "The access token has expired. Ask POST /token for a new one."),
        (RateLimited(), "Too many requests in the last minute. Wait as long as Retry-After says."),
        (
            ModelNotFound("gpt-9", is_known=True),
            "The model does not exist, or you may not use it here. GET /v1/models lists yours.",
        ),
        (CrossOriginRefused(), CrossOriginRefused.detail),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, AppError) else "",
)
def test_the_api_adds_what_the_caller_can_do(error: AppError, detail: str) -> None:
    assert public_detail(error) == detail
