"""API keys over sockets: a bearer wherever a token is, revoked within a second on every worker, and for good."""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import AuthenticationError, OpenAI

from app.security.api_keys.form import KeyRefused

from ..support.calls import bearer, check_problem, records_of, refusal
from ..support.fake_openai import FakeOpenAI
from ..support.sdk import CHAT
from ..support.service import HTTP, Service
from ..support.waiting import eventually

ASK, READ = "ai.playground.user", "ai.audit.reader"
SENTENCE = KeyRefused.detail


class Client:
    """A client with both roles, its secret and a key without an end."""

    def __init__(self, service: Service, name: str, *options: str) -> None:
        self.service, self.name = service, name
        made = service.cli("clients", "add", name, "--role", ASK, "--role", READ, "--key", *options)
        self.secret, self.key, self.key_id = str(made["client_secret"]), str(made["key"]), str(made["key_id"])

    def add_key(self, *options: str) -> dict[str, Any]:
        return dict(self.service.cli("keys", "add", self.name, *options))


@pytest.fixture(scope="module")
def alice(service: Service) -> Client:
    return Client(service, "alice")


# --- what a key opens ----------------------------------------------------------------------------------


def test_a_key_works_wherever_a_token_does_and_records_name_it(service: Service, alice: Client) -> None:
    token = service.token("alice", alice.secret)
    kinds: list[Counter[str]] = []
    for credential in (alice.key, token):
        headers = bearer(credential)
        answers = [
            HTTP.post(f"{service.url}/ask", json={"query": "hi"}, headers=headers),
            HTTP.post(f"{service.url}/v1/chat/completions", json=CHAT, headers=headers),
            HTTP.post(f"{service.url}/v1/responses", json={"model": "gpt-4o-mini", "input": "hi"}, headers=headers),
            HTTP.get(f"{service.url}/audit/entries/0", headers=headers),
            HTTP.post(f"{service.url}/ask", json={"query": ""}, headers=headers),
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 200, 422]
        assert HTTP.get(f"{service.url}/v1/models", headers=headers).status_code == 200
        records = [record for answer in answers for record in records_of(service, answer)]
        assert {record["user_id"] for record in records} == {"alice"}
        kinds.append(Counter(record["action"] for record in records))
        named = {record["details"]["credential"] for record in records}
        assert len(named) == 1
        assert next(iter(named)).partition(":")[0] == ("key" if credential == alice.key else "token")
    assert kinds[0] == kinds[1] == {"ask.received": 3, "ask.answered": 3, "audit.read": 1, "request.refused": 1}
    failed = [one["details"]["credential"] for one in service.records() if "credential" in one["details"]]
    assert f"key:{alice.key_id}" in failed


def test_a_key_has_at_most_the_roles_that_its_client_has_now(service: Service) -> None:
    client = Client(service, "gina")
    narrow = client.add_key("--role", READ)["key"]
    refused = service.ask(narrow)
    check_problem(refused, 403, "insufficient_scope")
    record = refusal(service, refused, "ask.refused")
    assert record["details"]["credential"].startswith("key:")
    assert service.ask(client.key).status_code == 200
    service.cli("clients", "set-roles", "gina", "--role", READ)
    eventually(lambda: service.ask(client.key).status_code == 403)
    assert HTTP.get(f"{service.url}/audit/entries/0", headers=bearer(client.key)).status_code == 200
    refusals = service.cli("keys", "add", "gina", "--role", ASK, status=2)
    assert refusals["error"] == "invalid_request"


def test_a_key_is_shown_once_and_listed_without_its_secret(service: Service, alice: Client) -> None:
    added = alice.add_key("--name", "laptop", "--expires", "90d", "--rpm", "600")
    assert list(added) == ["key_id", "key", "client_id", "roles", "expires_at", "name"]
    assert (added["client_id"], added["roles"], added["name"]) == ("alice", [ASK, READ], "laptop")
    listed = service.run("keys", "list").stdout + service.run("keys", "list", "alice", "--json").stdout
    assert added["key_id"] in listed
    assert added["key"][15:58] not in listed


def test_every_key_that_proves_nothing_gets_one_body(service: Service, alice: Client) -> None:
    expired, revoked, disabled = alice.add_key("--expires", "1s"), alice.add_key(), Client(service, "daisy")
    service.cli("keys", "revoke", revoked["key_id"])
    service.cli("clients", "disable", "daisy")
    eventually(lambda: service.ask(disabled.key).status_code == 401)
    unknown, forged = alice.key[:6] + ("y" if alice.key[6] == "x" else "x") + alice.key[7:], alice.key[:-1]
    for key in (expired["key"], revoked["key"], disabled.key, unknown, forged, "saa_", "saa_" + "0" * 60):
        for path, member in (("/ask", "detail"), ("/v1/chat/completions", "error")):
            answer = HTTP.post(service.url + path, json={"query": "hi"}, headers=bearer(key))
            assert (answer.status_code, 'error="invalid_token"' in answer.headers["www-authenticate"]) == (401, True)
            shown = answer.json()[member]
            body = {"message": SENTENCE, "type": "invalid_request_error", "param": None, "code": "invalid_api_key"}
            assert shown == (SENTENCE if member == "detail" else body)
    reasons = [one["details"] for one in service.records() if one["details"].get("code") == "invalid_key"]
    named = {(one["reason"], one.get("key_id")) for one in reasons}
    assert {("expired", expired["key_id"]), ("revoked", revoked["key_id"]), ("client_disabled", disabled.key_id)} <= named
    assert [one["details"]["key_id"] for one in service.records() if one["action"] == "key.expired"] == [expired["key_id"]]


# --- rotation, settings ----------------------------------------------------------------------------------


def test_a_key_and_a_secret_are_rotated_without_a_gap(service: Service) -> None:
    client = Client(service, "bobby")
    new = client.add_key("--name", "new")["key"]
    second = str(service.cli("clients", "add-secret", "bobby")["client_secret"])
    assert [service.ask(key).status_code for key in (client.key, new)] == [200, 200]
    assert service.token("bobby", client.secret)
    service.cli("keys", "revoke", client.key_id)
    service.cli("clients", "remove-secret", "bobby")
    eventually(lambda: service.ask(client.key).status_code == 401)
    assert service.ask(new).status_code == 200
    assert service.token("bobby", second)
    form = {"grant_type": "client_credentials", "client_id": "bobby", "client_secret": client.secret}
    assert HTTP.post(f"{service.url}/token", data=form).status_code == 401


def test_a_client_has_its_own_token_lifetime_at_once(service: Service) -> None:
    client = Client(service, "henry", "--token-lifetime", "2h")
    token = service.token("henry", client.secret)
    issued = [one["details"] for one in service.records() if one["action"] == "token.issued" and one["user_id"] == "henry"]
    assert issued[0]["expires_in"] == 7200
    eventually(lambda: service.ask(token).status_code == 200)
    service.cli("clients", "set", "henry", "--token-lifetime", "1h")
    eventually(lambda: service.ask(token).status_code == 401)
    assert service.ask(client.key).status_code == 200


def test_all_credentials_of_a_client_share_one_bucket(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url, OPENAI_API_KEY="k", RATE_LIMIT="2") as service:
        client = Client(service, "alice", "--rpm", "5")
        narrow = str(client.add_key("--rpm", "1")["key"])
        token = service.token("alice", client.secret)
        eventually(lambda: limit_shown(service, client.key) == "5")
        answers = [service.ask(one) for one in (narrow, narrow, token, client.key, token, token)]
        assert [answer.status_code for answer in answers][:4] == [200, 429, 200, 200]
        assert answers[-1].status_code == 429
        other = Client(service, "bobby")
        assert [service.ask(other.key).status_code for _ in range(3)] == [200, 200, 429]


def limit_shown(service: Service, key: str) -> str:
    """The limit that the answer to an empty question shows; it counts as one."""
    return HTTP.post(f"{service.url}/ask", json={}, headers=bearer(key)).headers["x-ratelimit-limit-requests"]


# --- revocation ------------------------------------------------------------------------------------------


@pytest.fixture
def four(tmp_path: Path, fake: FakeOpenAI) -> Iterator[Service]:
    """A service of four workers."""
    with Service(tmp_path / "four", workers=4, OPENAI_BASE_URL=fake.base_url, OPENAI_API_KEY="k") as service:
        yield service


def test_an_agent_runs_on_a_key_through_a_restart_until_it_is_revoked(four: Service) -> None:
    client = Client(four, "alice")
    agent = OpenAI(base_url=f"{four.url}/v1", api_key=client.key, max_retries=0)
    try:
        for _ in range(8):
            assert agent.chat.completions.create(**CHAT).choices
        four.stop()
        four.start()
        for _ in range(8):
            assert agent.chat.completions.create(**CHAT).choices
        four.cli("keys", "revoke", client.key_id)
        eventually(lambda: is_refused(agent))
        eventually(lambda: {answer.status_code for answer in asked(four, client.key, 20)} == {401}, "by every worker")
    finally:
        agent.close()
    [revocation] = [one for one in four.records() if one["action"] == "key.revoked"]
    assert revocation["details"] == {"key_id": client.key_id, "client_id": "alice", "by": "operator"}


def is_refused(agent: OpenAI) -> bool:
    try:
        agent.chat.completions.create(**CHAT)
    except AuthenticationError as error:
        return error.code == "invalid_api_key" and SENTENCE in str(error)
    return False


def test_a_revoked_key_stays_refused_after_kill_9_and_a_replaced_database(four: Service) -> None:
    client, other = Client(four, "alice"), Client(four, "bobby")
    database, old = four.folder / "logs/clients.sqlite3", four.folder / "old.sqlite3"
    with sqlite3.connect(database) as now, sqlite3.connect(old) as copy:
        now.backup(copy)
    assert {answer.status_code for answer in asked(four, client.key, 12)} == {200}
    four.cli("keys", "revoke", client.key_id)
    eventually(lambda: {answer.status_code for answer in asked(four, client.key, 12)} == {401})
    for ending in ("-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)
    shutil.copy(old, four.folder / "copy")
    (four.folder / "copy").replace(database)
    eventually(lambda: any(one["action"] == "database.replaced" for one in four.records()))
    eventually(lambda: {answer.status_code for answer in asked(four, client.key, 12)} == {401}, "each worker looks for itself")
    assert {answer.status_code for answer in asked(four, other.key, 12)} == {200}
    eventually(lambda: four.cli("keys", "list", "alice")[0]["state"] == "revoked", "it is written into the older database")
    four.kill()
    four.start()
    assert {answer.status_code for answer in asked(four, client.key, 12)} == {401}
    assert {answer.status_code for answer in asked(four, other.key, 12)} == {200}


def asked(service: Service, key: str, times: int) -> list[httpx.Response]:
    """On a connection each, so that any worker may answer."""
    return [service.ask(key) for _ in range(times)]
