"""Planted secrets (of a client, a token, both keys, a prompt) and every place where they must not appear."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ..support.calls import records_of
from ..support.fake_openai import FakeOpenAI
from ..support.planted import ANSWER, KEY, PROMPT, SIGNING_KEY, Planted, break_the_upstream, found, send_wrong_things
from ..support.service import Service


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Planted]:
    env: dict[str, Any] = {"OPENAI_API_KEY": KEY, "SECRET_KEY": SIGNING_KEY, "LLM_TIMEOUT_SECONDS": "3"}
    with Service(tmp_path_factory.mktemp("planted"), OPENAI_BASE_URL=fake.base_url, **env) as service:
        planted = Planted(service, fake)
        send_wrong_things(planted)
        break_the_upstream(planted)
        yield planted


def test_the_secrets_really_reached_the_service(planted: Planted) -> None:
    assert planted.answered.status_code == 200
    assert {200, 400, 401, 404, 405, 413, 415, 422, 502, 503, 504} - {413} <= {response.status_code for response in planted.said}
    assert {"audit_log.jsonl", "security.log", "serve.log", "clients.sqlite3", "limits-lock"} <= set(planted.files())
    assert b"upstream status 401" in planted.files()["serve.log"], "the operator must see the status but not the text"


@pytest.mark.parametrize("what", ["secret", "rotated", "new"])
def test_a_clients_secret_appears_nowhere(planted: Planted, what: str) -> None:
    secret = str(getattr(planted, what))
    assert found(secret, planted.files()) == []
    assert [r.request.url for r in planted.said if found(secret, {"": r.content, "headers": str(r.headers).encode()})] == []


def test_a_token_appears_nowhere_nor_does_its_signature(planted: Planted) -> None:
    for secret in (planted.token, planted.token.rpartition(".")[2]):
        assert found(secret, planted.files()) == []
        assert [r.request.url for r in planted.said if found(secret, {"": r.content, "headers": str(r.headers).encode()})] == []


@pytest.mark.parametrize("what", ["key", "dead"])
def test_an_api_key_appears_nowhere_nor_does_its_secret(planted: Planted, what: str) -> None:
    key = str(getattr(planted, what))
    for secret in (key, key[15:-6]):
        assert found(secret, planted.files()) == []
        assert [r.request.url for r in planted.said if found(secret, {"": r.content, "headers": str(r.headers).encode()})] == []


@pytest.mark.parametrize("secret", [KEY, SIGNING_KEY])
def test_the_keys_appear_nowhere(planted: Planted, secret: str) -> None:
    assert found(secret, planted.files()) == []
    assert [r.request.url for r in planted.said if found(secret, {"": r.content, "headers": str(r.headers).encode()})] == []


def test_a_prompt_is_in_its_ask_received_and_nowhere_else(planted: Planted) -> None:
    for piece in (PROMPT, "the merger with", "closes on Friday"):
        assert found(piece, planted.files()) == ["audit_log.jsonl"]
    assert [r.request.url for r in planted.said if found(PROMPT, {"": r.content, "headers": str(r.headers).encode()})] == []
    holding = [record for record in planted.service.records() if found(PROMPT, {"": json.dumps(record).encode()})]
    assert {record["action"] for record in holding} == {"ask.received"}
    assert all(record["details"]["query"] == PROMPT for record in holding)


def test_an_answer_is_in_its_ask_answered_and_nowhere_else(planted: Planted) -> None:
    completion = {"choices": [{"message": {"content": ANSWER}}], "model": "m"}
    planted.fake.set("ok", body=json.dumps(completion))
    response = planted.ask("hi")
    planted.fake.set("ok")
    assert response.json()["answer"] == ANSWER
    assert [one["action"] for one in records_of(planted.service, response)] == ["ask.received", "ask.answered"]
    assert found(ANSWER, planted.files()) == ["audit_log.jsonl"]


def test_no_command_shows_a_secret_again(planted: Planted) -> None:
    for command in (
        ["clients", "list"],
        ["audit", "show"],
        ["audit", "tail"],
        ["audit", "verify"],
        ["clients", "add", "alice", "--role", "a"],
    ):
        done = planted.service.run(*command, status=None)
        texts = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
        for secret in (planted.secret, planted.new, planted.token, KEY, SIGNING_KEY):
            assert found(secret, texts) == [], command


def test_a_start_that_fails_shows_no_secret(planted: Planted) -> None:
    for env in ({"RATE_LIMIT": "0"}, {"OPENAI_BASE_URL": f"ftp://{KEY}"}, {"JWT_ALGORITHM": "HS512", "SECRET_KEY": SIGNING_KEY}):
        before, planted.service.env = planted.service.env, {**planted.service.env, **env}
        done = planted.service.run("serve", status=None)
        planted.service.env = before
        assert done.returncode != 0
        assert found(KEY, {"": (done.stdout + done.stderr).encode()}) == []
        assert found(SIGNING_KEY, {"": (done.stdout + done.stderr).encode()}) == []
