"""Rates in tokens, over all workers: of a role's principals, and of a model for all callers together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..support.calls import bearer
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service

POLICY = """
[servers.lab]
base_url = "{url}"
[models.small]
server = "lab"
[models.busy]
server = "lab"
tokens_per_minute = 400
[caps."team.slow"]
tokens_per_minute = 300
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rates")


@pytest.fixture(scope="module")
def service(folder: Path, fake: FakeOpenAI) -> Iterator[Service]:
    (folder / "policy.toml").write_text(POLICY.format(url=fake.base_url))
    with Service(folder, workers=2, POLICY_FILE="policy.toml", LLM_MODEL="small", RATE_LIMIT="6000") as service:
        yield service


def client(service: Service, name: str, *roles: str) -> str:
    """Its token."""
    options = [part for role in ("ai.playground.user", *roles) for part in ("--role", role)]
    return service.token(name, str(service.cli("clients", "add", name, *options)["client_secret"]))


def ask(service: Service, token: str, model: str, most: int) -> Any:
    """Each time by a new connection, so by any worker."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "max_tokens": most}
    return HTTP.post(f"{service.url}/v1/chat/completions", json=body, headers={**bearer(token), "Connection": "close"})


def test_a_question_that_does_not_fit_is_refused_and_its_caller_told_when(service: Service, fake: FakeOpenAI) -> None:
    token = client(service, "alice", "team.slow")
    first = ask(service, token, "small", 200)
    assert first.status_code == 200
    limit, left = (int(first.headers[f"x-ratelimit-{what}-tokens"]) for what in ("limit", "remaining"))
    assert (limit, left < 100) == (300, True), "until the answer is over, all that it may have counts"
    used = sum(first.json()["usage"][kind] for kind in ("prompt_tokens", "completion_tokens"))
    before = fake.calls()
    refused = ask(service, token, "small", 300)
    assert (refused.status_code, refused.json()["error"]["code"], fake.calls()) == (429, "rate_limit_exceeded", before)
    assert int(refused.headers["x-ratelimit-remaining-tokens"]) == 300 - used
    assert 0 < int(refused.headers["retry-after"]) <= 61
    assert '"tpm"' in refused.headers["ratelimit-policy"]
    assert refused.json()["error"]["message"].startswith("The last minute has used too many tokens for this question")
    assert ask(service, token, "small", 200).status_code == 200, "what the first did not use is free again"
    (record,) = [one for one in service.records() if one["request_id"] == refused.headers["x-request-id"]]
    assert (record["action"], record["user_id"], record["details"]["code"]) == ("request.refused", "alice", "rate_limited")


def test_a_models_rate_is_for_all_callers_together(service: Service) -> None:
    bobby, carol = client(service, "bobby"), client(service, "carol")
    assert ask(service, bobby, "busy", 300).status_code == 200
    assert ask(service, carol, "busy", 400).status_code == 429
    assert ask(service, carol, "small", 400).status_code == 200
    assert "x-ratelimit-limit-tokens" not in ask(service, carol, "small", 1).headers


def test_a_stream_counts_with_what_it_used(service: Service) -> None:
    token = client(service, "daisy", "team.slow")
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 200, "stream": True}
    for _ in range(2):
        answer = HTTP.post(f"{service.url}/v1/chat/completions", json=body, headers=bearer(token))
        assert (answer.status_code, answer.text.rstrip().endswith("[DONE]")) == (200, True)
        assert answer.headers["x-ratelimit-limit-tokens"] == "300"
