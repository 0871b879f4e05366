"""The three token endpoints: what each asks of the service, charges and answers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app.api.routes.token import introspect, revoke, token
from app.errors import AuditUnavailable, RateLimited
from app.security.models import NEVER, Client, ClientSettings, Principal
from app.security.oauth_errors import InvalidTokenRequest, UnsupportedGrantType
from app.security.tokens.issuer import IssuedToken

from ....support.http_request import ADDRESS, REQUEST_ID, FakeApp, request_of, run

LOGIN = {"client_id": "alice", "client_secret": "s"}
ALICE = Client("alice", ("a.role",), False, datetime.now(UTC))
BUSY = Client("busy", ("a.role",), False, datetime.now(UTC), ClientSettings(rpm=5_000))
PROVEN = ("authenticate_client", "alice", "s")
TOKEN = Principal("alice", ("a.role", "b.role"), "alice", "ab" * 16, 2_000_000_000)
KEY = Principal("alice", (), "alice", "0123456789A", NEVER, "key")


def app_with(**results: Any) -> FakeApp:
    return FakeApp(results={"authenticate_client": ALICE, **results})


def test_a_token_is_granted_after_the_client_and_its_bucket() -> None:
    app = app_with(grant_token=IssuedToken("a.b.c", "ab" * 16, 60, "a.role"))
    form = {**LOGIN, "grant_type": "client_credentials", "scope": "a.role"}
    response = run(token(request_of("/token", app=app), form))
    granted = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 60, "scope": "a.role"}
    assert json.loads(bytes(response.body)) == granted
    assert app.calls == [PROVEN, ("charge_token", "alice"), ("grant_token", ALICE, "a.role", REQUEST_ID, ADDRESS)]


@pytest.mark.parametrize(("form", "error"), [({}, InvalidTokenRequest), ({"grant_type": "password"}, UnsupportedGrantType)])
def test_another_grant_is_refused_before_anything_is_proven(form: dict[str, str], error: type[Exception]) -> None:
    app = app_with()
    with pytest.raises(error):
        run(token(request_of("/token", app=app), {**LOGIN, **form}))
    assert app.calls == []


def test_a_revocation_is_answered_by_nothing_once_it_is_done() -> None:
    app = app_with()
    response = run(revoke(request_of("/token/revoke", app=app), {**LOGIN, "token": "x", "token_type_hint": "unheard_of"}))
    assert (response.status_code, bytes(response.body)) == (200, b"")
    assert app.calls == [PROVEN, ("charge_token", "alice"), ("revoke_credential", ALICE.client_id, "x", REQUEST_ID, ADDRESS)]


def test_a_revocation_that_is_not_recorded_is_not_answered() -> None:
    app = FakeApp({"revoke_credential": AuditUnavailable()}, {"authenticate_client": ALICE})
    with pytest.raises(AuditUnavailable):
        run(revoke(request_of("/token/revoke", app=app), {**LOGIN, "token": "x"}))


@pytest.mark.parametrize("endpoint", [revoke, introspect])
def test_without_a_token_the_request_is_refused_after_the_proof(endpoint: Any) -> None:
    app = app_with()
    with pytest.raises(InvalidTokenRequest, match="token is missing"):
        run(endpoint(request_of("/token/revoke", app=app), LOGIN))
    assert app.calls[0] == PROVEN


@pytest.mark.parametrize(("client", "limit"), [(ALICE, 60), (BUSY, 5_000)])
def test_an_introspection_counts_as_a_read_of_the_client(client: Client, limit: int) -> None:
    app = app_with(authenticate_client=client)
    run(introspect(request_of("/token/introspect", app=app), {**LOGIN, "token": "x"}))
    assert app.calls[1:] == [("charge_read", client.client_id, limit), ("introspect", client, "x")]
    full = FakeApp({"charge_read": RateLimited()}, app.results)
    with pytest.raises(RateLimited):
        run(introspect(request_of("/token/introspect", app=full), {**LOGIN, "token": "x"}))


ABOUT = {"client_id": "alice", "token_type": "Bearer", "sub": "alice", "aud": "audience", "iss": "issuer"}


@pytest.mark.parametrize(
    ("principal", "body"),
    [
        (None, {"active": False}),
        (
            TOKEN,
            {"scope": "a.role b.role", **ABOUT, "exp": 2_000_000_000, "jti": "ab" * 16, "credential": "token:" + "ab" * 16},
        ),
        (KEY, {"scope": "", **ABOUT, "jti": "0123456789A", "credential": "key:0123456789A"}),
    ],
)
def test_what_is_known_of_a_credential_is_said(principal: Principal | None, body: dict[str, Any]) -> None:
    response = run(introspect(request_of("/token/introspect", app=app_with(introspect=principal)), {**LOGIN, "token": "x"}))
    assert json.loads(bytes(response.body)) == {"active": principal is not None, **body}
