"""Money under a fallback with another price, and a cap that is lowered, over sockets: exact in the records and in the audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.assistant.upper_bound import TEMPLATE_TOKENS

from ..support.calls import bearer, records_of
from ..support.raw_server import Answer, End, RawServer, chat, whole
from ..support.service import HTTP, Service

POLICY = """
[servers.lab]
base_url = "{lab}"
[servers.spare]
base_url = "{spare}"
[models.cheap]
server = "lab"
fallback = ["dear"]
max_output_tokens = 50
over_cap = "clamp"
[models.dear]
server = "spare"
max_output_tokens = 30
over_cap = "clamp"
[prices.cheap]
input = 1
output = 2
[prices.dear]
input = 10.5
cached_input = 0.5
output = 20
[retries]
most = 0
[[budgets]]
principal = "alice"
money = 1
per = "month"
"""
OWN = "principal=alice/month/money"
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 40}}
SPENT = (100 - 40) * 10.5 + 40 * 0.5 + 20 * 20
"""Of USAGE at the price of `dear`: in millionths, as all amounts here."""


@pytest.fixture
def lab() -> Iterator[RawServer]:
    with RawServer(lambda _: [End.CLOSE]) as server:
        yield server


@pytest.fixture
def spare() -> Iterator[RawServer]:
    with RawServer(lambda _: [whole(chat(usage=USAGE))]) as server:
        yield server


@pytest.fixture
def service(tmp_path: Path, lab: RawServer, spare: RawServer) -> Iterator[Service]:
    (tmp_path / "policy.toml").write_text(POLICY.format(lab=lab.base_url, spare=spare.base_url))
    with Service(tmp_path, POLICY_FILE="policy.toml", LLM_MODEL="cheap", LLM_MAX_TOKENS="20") as running:
        yield running


def ask(service: Service) -> httpx.Response:
    """For more than either model gives."""
    token = service.token("alice", service.add_client())
    body = {"model": "cheap", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1000}
    return HTTP.post(f"{service.url}/v1/chat/completions", json=body, headers=bearer(token))


def most(server: RawServer, prices: tuple[float, float], cap: int) -> float:
    """The most that what *server* got last can cost; the cap that was sent is *cap*."""
    body = server.requests[-1].body
    assert json.loads(body)["max_tokens"] == cap
    return (len(body) + TEMPLATE_TOKENS) * prices[0] + cap * prices[1]


def amounts(entries: list[dict[str, Any]]) -> list[tuple[int, str, Any]]:
    """Attempt, why, and how much."""
    return [(one.get("attempt", 1), one.get("by", ""), pytest.approx(float(one["amount"]) * 1e6, abs=1e-6)) for one in entries]


REFUSED: Answer = [whole(b"{}", status="503 Busy")]


@pytest.mark.parametrize("answer", [REFUSED, [End.CLOSE]], ids=["refused", "may have been billed"])
def test_each_attempt_is_charged_at_its_own_price_and_cap(
    service: Service, lab: RawServer, spare: RawServer, answer: Answer
) -> None:
    """A server that refused by its status costs nothing; one that broke off costs what was reserved for it."""
    lab.answer = lambda _: answer
    response = ask(service)
    assert (response.status_code, response.headers["x-answered-by"]) == (200, "dear")
    received, attempted, answered = (one["details"] for one in records_of(service, response))
    first, second = most(lab, (1, 2), 50), most(spare, (10.5, 20), 30)
    assert received["clamped"]["sent"] == 50
    assert amounts(received["reserved"]) == [(1, "", first)]
    assert received["reserved"][0]["prices"] == {"input": "1", "output": "2"}
    assert amounts(attempted["reserved"]) == [(2, "", second)]
    assert attempted["reserved"][0]["prices"] == {"input": "10.5", "output": "20", "cached_input": "0.5"}
    pays_first = answer is not REFUSED
    assert amounts(answered["spent"]) == ([(1, "reservation", first)] if pays_first else []) + [(2, "usage", SPENT)]
    audit = service.cli("budget", "audit", status=None)
    assert (audit["ok"], audit["differences"], audit["problems"]) == (True, [], [])
    (spent,) = audit["spent"]
    assert spent["id"] == OWN
    assert float(spent["amount"]) * 1e6 == pytest.approx(first * pays_first + SPENT, abs=1e-6)
