"""Hedging over sockets: a second server answers in place of a slow one, and records, budgets and connections show both."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ..support.calls import bearer, records_of
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service
from ..support.waiting import eventually

POLICY = """
[servers.slow]
base_url = "{slow}"
[servers.quick]
base_url = "{quick}"
[models.fast]
servers = ["slow", {{ name = "quick", model = "its-name" }}]
hedge_after_seconds = 0.4
timeout_seconds = 60
[retries]
share = 1
[prices.fast]
input = 0
output = 1000
[[budgets]]
principal = "alice"
money = 10
per = "month"
"""
CAP = 14
RESERVED, COST = "0.014", "0.007"
"""Of CAP tokens, and of the seven that the fake counts for each answer."""
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def quick() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as running:
        yield running


@pytest.fixture(scope="module")
def slow() -> Iterator[FakeOpenAI]:
    """It never answers."""
    with FakeOpenAI() as running:
        yield running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, slow: FakeOpenAI, quick: FakeOpenAI) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    folder.joinpath("policy.toml").write_text(POLICY.format(slow=slow.base_url, quick=quick.base_url))
    with Service(folder, POLICY_FILE="policy.toml", LLM_MODEL="fast", LLM_MAX_TOKENS=str(CAP), workers=1) as running:
        yield running


def hedged(service: Service, token: str, first: str, *, stream: bool = False) -> tuple[httpx.Response, list[dict[str, Any]]]:
    """An answer that took two servers, of which *first* was asked first, and its records.

    Either may be asked first, so it asks until that is so. The policy gives each question a retry, from which a hedge takes.
    """
    body = {"model": "fast", "messages": [{"role": "user", "content": "hi"}], "max_tokens": CAP, "stream": stream}
    for _ in range(60):
        response = HTTP.post(service.url + CHAT, json=body, headers=bearer(token))
        assert response.status_code == 200
        records = records_of(service, response)
        tries = records[-1]["details"]["tries"]
        assert response.headers.get("x-attempts") == str(len(tries))
        if len(tries) == 2 and tries[0]["server"] == first:
            return response, records
    raise AssertionError(f"{first} was never asked first")


def sent(service: Service, seen: int) -> int:
    """How often the questions since then were sent, by their records."""
    return sum(one["details"]["attempts"] for one in since(service, seen) if one["action"] == "ask.answered")


def audited(service: Service) -> str:
    """What alice has spent, once the log and the store say the same."""
    document = service.cli("budget", "audit", status=None)
    assert document["ok"], document
    return str(document["spent"][0]["amount"]) if document["spent"] else "0"


@pytest.mark.parametrize("stream", [False, True])
def test_a_second_server_answers_in_place_of_a_slow_one(
    service: Service, token: str, slow: FakeOpenAI, quick: FakeOpenAI, stream: bool
) -> None:
    slow.reset()
    quick.reset()
    slow.set("hang")
    seen = service.records()[-1]["seq"]
    response, records = hedged(service, token, "slow", stream=stream)
    assert "[DONE]" in response.text if stream else response.json()["choices"]
    assert slow.calls() + quick.calls() == sent(service, seen)
    eventually(lambda: slow.calls("open") == 0)  # the connection to the slow one is closed
    assert [one["action"] for one in records] == ["ask.received", "ask.attempted", "ask.answered"]
    received, attempted, answered = [one["details"] for one in records]
    assert (attempted["server"], attempted["model"]) == ("quick", "fast")
    assert [one["amount"] for one in received["reserved"] + attempted["reserved"]] == [RESERVED, RESERVED]
    assert (answered["attempts"], answered["retried"]) == (2, "slow")
    assert [(one["server"], one["status"], one["why"]) for one in answered["tries"]] == [
        ("slow", None, "hedged_away"),
        ("quick", 200, None),
    ]
    assert answered["tries"][1]["upstream_sha256"] == attempted["upstream_sha256"] != received["upstream_sha256"]
    spent = [(one.get("attempt", 1), one["by"], one["amount"]) for one in answered["spent"]]
    assert spent == [(1, "reservation", RESERVED), (2, "usage", COST)], "what was cut off may have been generated"
    audited(service)
    report = service.verify()
    assert report["ok"]
    assert report["open"]["records"] == []


def test_a_slow_server_that_answers_first_counts(service: Service, token: str, slow: FakeOpenAI, quick: FakeOpenAI) -> None:
    slow.reset()
    quick.reset()
    slow.set(delay=1.5)
    quick.set("hang")
    seen = service.records()[-1]["seq"]
    _, records = hedged(service, token, "slow")
    assert slow.calls() + quick.calls() == sent(service, seen)
    answered = records[-1]["details"]
    assert [(one["server"], one["why"]) for one in answered["tries"]] == [("slow", None), ("quick", "hedged_away")]
    assert [(one.get("attempt", 1), one["by"]) for one in answered["spent"]] == [(1, "usage"), (2, "reservation")]
    audited(service)


def test_a_kill_while_both_are_asked_leaves_books_that_agree(
    service: Service, token: str, slow: FakeOpenAI, quick: FakeOpenAI
) -> None:
    for fake in (slow, quick):
        fake.reset()
        fake.set("hang")
    before, seen = float(audited(service)), service.records()[-1]["seq"]
    asking = threading.Thread(target=lambda: ask_in_vain(service, token))
    asking.start()
    eventually(lambda: slow.calls() + quick.calls() == 2)
    for pid in service.worker_pids():
        os.kill(pid, signal.SIGKILL)
    asking.join()
    eventually(lambda: any(one["action"] == "budget.settled" for one in since(service, seen)))
    service.wait_ready()
    (settled,) = [one["details"] for one in since(service, seen) if one["action"] == "budget.settled"]
    spent = sorted((one.get("attempt", 1), one["by"], one["amount"]) for one in settled["spent"])
    assert spent == [(1, "reservation", RESERVED), (2, "reservation", RESERVED)]
    assert round(float(audited(service)) - before, 9) == 2 * float(RESERVED)


def since(service: Service, seen: int) -> list[dict[str, Any]]:
    return [one for one in service.records() if one["seq"] > seen]


def ask_in_vain(service: Service, token: str) -> None:
    with pytest.raises(httpx.HTTPError):
        service.ask(token)
