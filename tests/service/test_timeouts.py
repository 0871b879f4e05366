"""How long is waited: for a model that hangs, by role, and at a stop; and how often a role may ask."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.calls import bearer
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service
from ..support.waiting import eventually

MODELS = """
[servers.main]
base_url = "{url}"
[models.m]
server = "main"
[caps."x.hasty"]
timeout_seconds = 0.3
[caps."x.rare"]
requests_per_minute = 3
[caps."x.brief"]
stream_timeout_seconds = 2
"""
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("timeouts")
    folder.joinpath("models.toml").write_text(MODELS.format(url=fake.base_url))
    with Service(folder, MODELS_FILE="models.toml", LLM_MODEL="m", RATE_LIMIT="10") as running:
        yield running


def token_with(service: Service, name: str, role: str) -> str:
    roles = ("--role", "ai.playground.user", "--role", role)
    return service.token(name, service.cli("clients", "add", name, *roles)["client_secret"])


def ask(service: Service, token: str, *, path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
    body = {"query": "hi"} if path == "/ask" else CHAT | more
    return HTTP.post(service.url + path, json=body, headers=bearer(token))


@pytest.mark.parametrize("path", ["/ask", "/v1/chat/completions"])
def test_a_role_waits_as_long_as_its_caps_say(service: Service, upstream: FakeOpenAI, path: str) -> None:
    upstream.set("hang")
    response = ask(service, token_with(service, f"hasty{len(path)}", "x.hasty"), path=path)
    assert (response.status_code, response.headers["x-should-retry"]) == (504, "false")
    assert upstream.calls() == 1


def test_a_roles_stream_ends_when_its_caps_say(service: Service, upstream: FakeOpenAI) -> None:
    upstream.set("ok", chunks=1000, interval=0.05)
    response = ask(service, token_with(service, "brief", "x.brief"), stream=True)
    assert "upstream_timeout" in response.text
    assert "hi" not in response.text.splitlines()[-2]


def test_a_role_has_its_own_number_of_questions_a_minute(service: Service, upstream: FakeOpenAI) -> None:
    rare = token_with(service, "rare", "x.rare")
    responses = [ask(service, rare) for _ in range(4)]
    assert [response.status_code for response in responses] == [200, 200, 200, 429]
    assert responses[0].headers["ratelimit-policy"] == '"rpm";q=3;w=60'
    other = service.token("other", service.add_client("other"))
    assert ask(service, other).headers["ratelimit-policy"] == '"rpm";q=10;w=60'
    without = service.cli("keys", "add", "rare", "--role", "ai.playground.user")["key"]
    assert ask(service, without).status_code == 429, "a key without the role does not escape its limit"
    listed = HTTP.get(service.url + "/v1/models", headers=bearer(rare))
    assert (listed.status_code, listed.headers["ratelimit-policy"]) == (200, '"reads";q=600;w=60')


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_takes_its_time_at_most_and_records_what_it_cuts(tmp_path: Path, upstream: FakeOpenAI, workers: int) -> None:
    grace = 4.0
    env: dict[str, Any] = {"SHUTDOWN_GRACE_SECONDS": str(grace), "LLM_STREAM_TIMEOUT_SECONDS": "30"}
    upstream.set("hang")
    with ThreadPoolExecutor(6) as pool, Service(tmp_path, workers=workers, OPENAI_BASE_URL=upstream.base_url, **env) as service:
        token = service.token("alice", service.add_client())
        plain = [pool.submit(ask, service, token, path="/ask") for _ in range(2)]
        plain += [pool.submit(ask, service, token, model="gpt-4o-mini", stream=stream) for stream in (False, True) * 2]
        eventually(lambda: upstream.calls() == 6)
        started = time.monotonic()
        assert service.stop() == 0
        took = time.monotonic() - started
        codes = sorted(code_of(one) for one in plain)
        assert 0.5 * grace < took < grace
        assert codes == ["interrupted"] * 6
        ends = [record["details"]["code"] for record in service.records() if record["action"] == "ask.failed"]
        assert ends == ["interrupted"] * 6
        assert service.verify()["ok"]


def code_of(answering: Future[httpx.Response]) -> str:
    response = answering.result()
    body = response.json()
    return str(body.get("code") or body["error"]["code"])
