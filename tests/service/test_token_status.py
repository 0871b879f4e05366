"""POST /token/revoke and /token/introspect: a client's own tokens and keys, over sockets and with several workers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.calls import check_oauth_error, records_of, refusal
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service

ASK, INTROSPECT = "ai.playground.user", "ai.token.introspect"
REVOKE, STATUS = "/token/revoke", "/token/introspect"
INACTIVE = {"active": False}


@pytest.fixture(scope="module")
def secret(service: Service) -> str:
    return service.add_client("alice")


@pytest.fixture(scope="module")
def other(service: Service) -> str:
    return service.add_client("bobby")


@pytest.fixture(scope="module")
def reader(service: Service) -> tuple[str, str]:
    """A client that may only introspect."""
    return "reader", service.add_client("reader", INTROSPECT)


def post(service: Service, path: str, credential: str, auth: tuple[str, str], **form: str) -> httpx.Response:
    return HTTP.post(service.url + path, data={"token": credential, **form}, auth=auth)


def status(service: Service, credential: str, auth: tuple[str, str]) -> Any:
    response = post(service, STATUS, credential, auth)
    assert response.status_code == 200, response.text
    assert (response.headers["content-type"], response.headers["cache-control"]) == ("application/json", "no-store")
    assert records_of(service, response) == []
    return response.json()


def new_key(service: Service, client: str, *options: str) -> dict[str, Any]:
    return dict(service.cli("keys", "add", client, *options))


# --- introspection -----------------------------------------------------------------------------------


def test_a_client_learns_what_its_token_and_key_give(service: Service, secret: str) -> None:
    own = ("alice", secret)
    token, key = service.token(*own), new_key(service, "alice", "--expires", "1h")
    known = {"scope": ASK, "client_id": "alice", "token_type": "Bearer", "sub": "alice"}
    ours = {"aud": "secure-ai-assistant", "iss": "secure-ai-assistant"}
    told = status(service, token, own)
    assert list(told) == ["active", "scope", "client_id", "token_type", "exp", "sub", "aud", "iss", "jti", "credential"]
    assert told == {"active": True, **known, **ours, "exp": told["exp"], "jti": told["jti"], "credential": f"token:{told['jti']}"}
    assert 3500 < told["exp"] - time.time() <= 3600
    told = status(service, key["key"], own)
    assert (told["jti"], told["credential"]) == (key["key_id"], f"key:{key['key_id']}")
    assert 3500 < told["exp"] - time.time() <= 3600
    assert "exp" not in status(service, new_key(service, "alice")["key"], own)


def test_others_are_inactive_but_for_the_role(service: Service, secret: str, other: str, reader: tuple[str, str]) -> None:
    token, key = service.token("alice", secret), new_key(service, "alice")["key"]
    for credential in (token, key):
        assert status(service, credential, ("bobby", other)) == INACTIVE
        assert status(service, credential, reader)["client_id"] == "alice"


def test_what_proves_nothing_is_inactive_and_no_more(service: Service, reader: tuple[str, str]) -> None:
    key = new_key(service, "reader")["key"]
    for credential in ("x", "a.b.c", key[:-1], key[:20] + "x" * 44, service.token(*reader)[:-3] + "xxx", "é", " "):
        assert status(service, credential, reader) == INACTIVE


# --- revocation --------------------------------------------------------------------------------------


def revoked(service: Service, response: httpx.Response) -> dict[str, Any]:
    """The record of a revocation, whose answer says nothing."""
    assert (response.status_code, response.content) == (200, b"")
    (record,) = records_of(service, response)
    return record


def test_a_client_revokes_its_token_and_the_record_names_it(service: Service, secret: str) -> None:
    own = ("alice", secret)
    token = service.token(*own)
    jti = status(service, token, own)["jti"]
    record = revoked(service, post(service, REVOKE, token, own, token_type_hint="refresh_token"))
    assert (record["action"], record["user_id"]) == ("token.revoked", "alice")
    assert list(record["details"].items()) == [("jti", jti), ("by", "client"), ("address", "127.0.0.1")]
    deadline = time.monotonic() + 1
    while service.ask(token).status_code != 401:
        assert time.monotonic() < deadline
    assert status(service, token, own) == INACTIVE
    line = next(line for line in service.security_log("token_revoked") if "token_revoked" in line)
    assert "token_revoked user_id=alice address=127.0.0.1" in line
    assert jti in line


def test_a_client_revokes_its_key_and_keys_list_shows_it(service: Service, secret: str) -> None:
    key = new_key(service, "alice")
    record = revoked(service, post(service, REVOKE, key["key"], ("alice", secret)))
    assert (record["action"], record["user_id"]) == ("key.revoked", "alice")
    details = {"key_id": key["key_id"], "client_id": "alice", "by": "client", "address": "127.0.0.1"}
    assert list(record["details"].items()) == list(details.items())
    assert status(service, key["key"], ("alice", secret)) == INACTIVE
    states = {row["key_id"]: row["state"] for row in service.cli("keys", "list", "alice")}
    assert states[key["key_id"]] == "revoked"


def test_what_is_foreign_or_unknown_is_answered_alike(service: Service, secret: str, other: str, reader: tuple[str, str]) -> None:
    token, key = service.token("alice", secret), new_key(service, "alice")["key"]
    for auth in (("bobby", other), reader):
        for credential in (token, key, "x", "a.b.c", key[:-1]):
            response = post(service, REVOKE, credential, auth)
            assert (response.status_code, response.content, records_of(service, response)) == (200, b"", [])
    assert service.ask(token).status_code == service.ask(key).status_code == 200


def test_every_worker_refuses_within_a_second_and_kill_9_keeps_it(fake: FakeOpenAI, tmp_path: Path) -> None:
    with Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url) as service:
        own = ("alice", service.add_client())
        token, key, kept = service.token(*own), new_key(service, "alice")["key"], new_key(service, "alice")["key"]

        def statuses(credential: str) -> set[int]:
            """Of calls on connections of their own: both workers are met."""
            return {service.ask(credential).status_code for _ in range(12)}

        assert statuses(token) == statuses(key) == {200}
        for credential in (token, key):
            assert post(service, REVOKE, credential, own).status_code == 200
        service.kill()  # at once: what was answered is durable
        service.start()
        assert [statuses(one) for one in (token, key, kept)] == [{401}, {401}, {200}]
        token = service.token(*own)
        assert statuses(token) == {200}
        assert post(service, REVOKE, token, own).status_code == 200
        time.sleep(1)
        assert statuses(token) == {401}
        actions = [record["action"] for record in service.records() if record["action"].endswith(".revoked")]
        assert actions == ["token.revoked", "key.revoked", "token.revoked"]
        assert service.verify()["ok"]


# --- refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [REVOKE, STATUS])
def test_a_client_must_prove_itself_and_send_a_token(service: Service, secret: str, path: str) -> None:
    token = service.token("alice", secret)
    for auth in (("alice", "wrong"), ("nobody", secret), ("alice", token)):
        response = post(service, path, token, auth)
        check_oauth_error(response, 401, "invalid_client")
        assert response.headers["www-authenticate"].startswith("Basic realm=")
        assert refusal(service, response)["details"]["route"] == path
    bearer = HTTP.post(service.url + path, data={"token": token}, headers={"Authorization": f"Bearer {token}"})
    check_oauth_error(bearer, 401, "invalid_client")
    missing = HTTP.post(service.url + path, data={"x": "y"}, auth=("alice", secret))
    check_oauth_error(missing, 400, "invalid_request")
    assert refusal(service, missing)["user_id"] == "alice"
    as_json = HTTP.post(service.url + path, json={"token": token}, auth=("alice", secret))
    check_oauth_error(as_json, 415, "invalid_request")
    check_oauth_error(HTTP.get(service.url + path), 405, "invalid_request")
    assert service.ask(token).status_code == 200
    assert token not in service.log.read_text()


def test_failed_proofs_at_each_endpoint_use_up_one_limit(fake: FakeOpenAI, tmp_path: Path) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url, ADDRESS_RATE_LIMIT="4") as service:
        own = ("alice", service.add_client())
        for path in (REVOKE, STATUS, "/token", REVOKE):
            assert post(service, path, "x", ("alice", "wrong"), grant_type="client_credentials").status_code == 401
        for path in (REVOKE, STATUS):
            check_oauth_error(post(service, path, "x", own), 429, "temporarily_unavailable")
