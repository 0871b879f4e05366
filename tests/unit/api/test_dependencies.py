"""The steps before a route: which token is taken, in which order the checks come, and what each leaves behind."""

from __future__ import annotations

from typing import Any

import pytest

from app.api.context import request_context
from app.api.dependencies import asker, auditor, authenticate, bearer_token, proven, reader, verify_role
from app.api.http_errors import TokenMissing
from app.errors import InsufficientScope, RateLimited
from app.limits.quota import Quota, QuotaExceeded
from app.security.models import Principal
from app.security.roles import ASK, AUDIT_READER
from app.security.token_errors import TokenExpired, TokenMalformed

from ...support.http_request import ADDRESS, FakeApp, request_of, run

QUOTA, READ = Quota(60, 59, 60), Quota(600, 599, 60, "reads")
HEADERS = {"Authorization": "Bearer good"}


def principal_with(*roles: str) -> Principal:
    return Principal("alice", roles, "alice", "0" * 32, 2_000_000_000)


def app_for(*roles: str, **errors: Exception) -> FakeApp:
    return FakeApp(errors, {"verify_bearer": principal_with(*roles), "charge_question": QUOTA, "charge_read": READ})


# --- the header --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "token"),
    [("Bearer a.b.c", "a.b.c"), ("bearer a.b.c", "a.b.c"), ("BEARER  a.b.c ", "a.b.c"), ("Bearer a b", "a b")],
)
def test_a_bearer_token_is_taken_whatever_the_case_of_its_scheme(value: str, token: str) -> None:
    assert bearer_token(request_of(headers={"Authorization": value})) == token


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer ", "Basic YTpi", "a.b.c", "Bearer\ta.b.c", "Bearera.b.c"])
def test_a_header_without_a_bearer_token_is_malformed(value: str) -> None:
    with pytest.raises(TokenMalformed):
        bearer_token(request_of(headers={"Authorization": value}))


def test_no_header_is_a_missing_token_and_two_are_malformed() -> None:
    with pytest.raises(TokenMissing):
        bearer_token(request_of())
    with pytest.raises(TokenMalformed):
        bearer_token(request_of(headers=[("Authorization", "Bearer a"), ("Authorization", "Bearer a")]))


def test_the_token_may_come_as_x_api_key_or_in_both_headers_if_they_agree() -> None:
    assert bearer_token(request_of(headers={"x-api-key": "good"})) == "good"
    assert bearer_token(request_of(headers={**HEADERS, "x-api-key": "good"})) == "good"
    twice = [("x-api-key", "good"), ("x-api-key", "good")]
    for headers in ({**HEADERS, "x-api-key": "other"}, {"x-api-key": ""}, {**HEADERS, "x-api-key": ""}, twice):
        with pytest.raises(TokenMalformed):
            bearer_token(request_of(headers=headers))
    with pytest.raises(TokenMalformed):  # the other header is no bearer token
        bearer_token(request_of(headers={"Authorization": "Basic good", "x-api-key": "good"}))


@pytest.mark.parametrize("query", ["access_token=x", "a=1&access_token=", "access%5Ftoken=x"])
def test_a_token_in_the_address_is_refused_even_beside_a_good_header(query: str) -> None:
    with pytest.raises(TokenMalformed):
        bearer_token(request_of(headers=HEADERS, query=query))
    assert bearer_token(request_of(headers=HEADERS, query="token=x")) == "good"


# --- the steps ---------------------------------------------------------------------------------------


def test_a_good_token_passes_proof_and_bucket_in_this_order() -> None:
    app = app_for(ASK)
    request = request_of(headers=HEADERS, app=app)
    assert run(authenticate(request)) == principal_with(ASK)
    proof, bucket = ("verify_bearer", "good"), ("charge_question", "alice", 60, None, None)
    assert app.calls == [proof, ("is_front_end", "alice"), bucket]
    context = request_context(request)
    assert (context.user_id, context.quota) == ("alice", QUOTA)


def test_an_address_that_failed_too_often_is_told_to_wait() -> None:
    app = app_for(ASK, verify_bearer=TokenExpired(), charge_address=RateLimited(retry_after=7))
    request = request_of(headers=HEADERS, app=app)
    with pytest.raises(RateLimited):
        run(authenticate(request))
    assert request_context(request).user_id is None


@pytest.mark.parametrize("headers", [{}, HEADERS], ids=["missing", "expired"])
def test_a_failed_proof_is_charged_to_the_address_and_names_nobody(headers: dict[str, str]) -> None:
    app = app_for(ASK, verify_bearer=TokenExpired())
    request = request_of(headers=headers, app=app)
    with pytest.raises(TokenExpired if headers else TokenMissing):
        run(authenticate(request))
    assert app.calls[-1] == ("charge_address", ADDRESS)
    assert request_context(request).user_id is None


def test_a_full_bucket_is_a_refusal_of_a_known_principal() -> None:
    app = app_for(ASK, charge_question=QuotaExceeded(Quota(60, 0, 7)))
    request = request_of(headers=HEADERS, app=app)
    with pytest.raises(QuotaExceeded):
        run(authenticate(request))
    assert request_context(request).user_id == "alice"
    assert request_context(request).quota is None


def test_a_users_part_is_charged_with_the_bucket_unless_nothing_is_asked() -> None:
    app = app_for(ASK)
    app.results = {**app.results, "is_front_end": True}
    request = request_of(headers=HEADERS | {"X-Forwarded-User": "u1"}, app=app)
    run(authenticate(request))
    assert app.calls[2:] == [("charge_question", "alice", 60, None, "u1")]
    app.calls = []
    run(authenticate(request, is_read=True))
    assert app.calls[2:] == [("charge_read", "alice", 60, None)]


# --- the role ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dependency", "role", "quota"), [(asker, ASK, QUOTA), (reader, ASK, READ), (auditor, AUDIT_READER, READ)]
)
def test_only_the_role_of_an_endpoint_opens_it(dependency: Any, role: str, quota: Quota) -> None:
    request = request_of(headers=HEADERS, app=app_for(role))
    assert run(dependency(request, None)) == principal_with(role)
    (other,) = {ASK, AUDIT_READER} - {role}
    request = request_of(headers=HEADERS, app=app_for(other))
    with pytest.raises(InsufficientScope) as refused:
        run(dependency(request, None))
    assert refused.value.needed_role == role
    assert request_context(request).quota == quota, "it was charged before"


def test_a_proven_principal_needs_no_role() -> None:
    assert run(proven(request_of(headers=HEADERS, app=app_for()), None)) == principal_with()
    with pytest.raises(InsufficientScope):
        verify_role(principal_with(), ASK)
