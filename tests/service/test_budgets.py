"""Budgets over sockets: what is sent, recorded, shown and refused; what a cut, a retry, a dead worker and a lost store cost."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..support.budget_policy import policy_for
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service
from ..support.waiting import eventually

MORE = """
[models.small]
server = "local"
default_output_tokens = 20
[models.unpriced]
server = "local"
[models.steady]
server = "local"
fallback = ["fast"]
[prices.small]
input = 0
output = 1000
[prices.steady]
input = 0
output = 1000
[[budgets]]
principal = "alice"
tokens = 5000
per = "day"
[[budgets]]
role = "ai.budget.small"
money = 0.02
per = "month"
"""
OWN, TOKENS = "principal=alice/month/money", "principal=alice/day/tokens"


@pytest.fixture
def served(tmp_path: Path, fake: FakeOpenAI) -> Iterator[Service]:
    """Money for 100 tokens of answers a month, for alice."""
    fake.reset()
    with Service(tmp_path, workers=2, V1_MAX_TOKENS="40", **policy_for(tmp_path, fake, 100, more=MORE)) as running:
        yield running


@pytest.fixture
def token(served: Service) -> str:
    return served.token("alice", served.add_client())


def chat(served: Service, token: str, path: str = "chat/completions", **more: Any) -> httpx.Response:
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], **more}
    return HTTP.post(f"{served.url}/v1/{path}", json=body, headers={"Authorization": f"Bearer {token}"})


def last(served: Service, action: str) -> dict[str, Any]:
    details: dict[str, Any] = [record["details"] for record in served.records() if record["action"] == action][-1]
    return details


def of(entries: list[dict[str, Any]], budget: str) -> dict[str, Any]:
    (found,) = [one for one in entries if one["id"] == budget]
    return found


def audited(served: Service) -> dict[str, str]:
    """What each budget has spent, once the log and the store say the same."""
    document = served.cli("budget", "audit", status=None)
    assert document["ok"], document
    return {one["id"]: one["amount"] for one in document["spent"]}


def test_a_question_spends_what_the_server_counted(served: Service, token: str) -> None:
    answer = served.ask(token)
    assert answer.status_code == 200
    assert of(last(served, "ask.received")["reserved"], OWN)["amount"] == "0.014"
    spent = of(last(served, "ask.answered")["spent"], OWN)
    assert (spent["by"], spent["tokens"], spent["amount"]) == ("usage", {"input": 12, "output": 7}, "0.007")
    assert answer.headers["x-budget-remaining"] == "0.093"
    assert answer.headers["x-ratelimit-limit-tokens"] == "5000"
    assert answer.headers["x-ratelimit-remaining-tokens"] == str(5000 - 19)
    mine = HTTP.get(served.url + "/budget", headers={"Authorization": f"Bearer {token}"}).json()["budgets"]
    assert {one["id"]: (one["spent"], one["reserved"]) for one in mine} == {OWN: ("0.007", "0"), TOKENS: (19, 0)}
    assert audited(served) == {OWN: "0.007", TOKENS: 19}


def test_the_cap_that_is_reserved_is_always_sent(served: Service, token: str, fake: FakeOpenAI) -> None:
    assert chat(served, token).status_code == 200
    assert json.loads(fake.seen()["bodies"][-1])["max_tokens"] == 20, "default_output_tokens"
    assert chat(served, token, model="fast").status_code == 200
    assert json.loads(fake.seen()["bodies"][-1])["max_tokens"] == 40, "the ceiling"
    assert chat(served, token, max_tokens=5, n=3).status_code == 200
    assert of(last(served, "ask.received")["reserved"], OWN)["tokens"]["output"] == 15
    assert last(served, "ask.received")["params"]["max_tokens"] == 5


def test_a_stream_says_what_is_left_before_it_is_settled(served: Service, token: str) -> None:
    answer = chat(served, token, stream=True)
    assert "[DONE]" in answer.text
    assert answer.headers["x-budget-remaining"] == "0.08"
    assert of(last(served, "ask.answered")["spent"], OWN)["by"] == "usage"
    assert audited(served)[OWN] == "0.007"


def test_an_answer_without_a_count_is_settled_at_its_reservation(served: Service, token: str, fake: FakeOpenAI) -> None:
    fake.set("no_usage")
    assert chat(served, token).status_code == 200
    spent = of(last(served, "ask.answered")["spent"], OWN)
    assert (spent["by"], spent["why"], spent["amount"]) == ("reservation", "no_usage", "0.02")


def test_who_disconnects_in_mid_answer_pays_the_reservation(served: Service, token: str, fake: FakeOpenAI) -> None:
    fake.set("stall:2")
    body = {"model": "small", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with HTTP.stream(
        "POST", f"{served.url}/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {token}"}
    ) as answer:
        next(answer.iter_raw())
    eventually(lambda: any(record["action"] == "ask.failed" for record in served.records()))
    failed = last(served, "ask.failed")
    assert (failed["code"], of(failed["spent"], OWN)["amount"]) == ("client_gone", "0.02")


def test_a_server_that_refuses_costs_nothing_and_one_that_breaks_off_all(served: Service, token: str, fake: FakeOpenAI) -> None:
    fake.set("status:400")
    chat(served, token)
    assert of(last(served, "ask.failed")["spent"], OWN) == {
        "id": OWN,
        "period": of(last(served, "ask.failed")["spent"], OWN)["period"],
        "unit": "USD",
        "by": "nothing",
        "amount": "0",
    }
    fake.set("truncate")
    chat(served, token)
    assert of(last(served, "ask.failed")["spent"], OWN)["amount"] == "0.02"
    assert audited(served)[OWN] == "0.02"


def test_a_budget_that_is_spent_refuses_in_the_form_of_each_endpoint(served: Service, token: str, fake: FakeOpenAI) -> None:
    while (refused := served.ask(token)).status_code == 200:
        pass
    calls = fake.calls()
    assert refused.headers["x-should-retry"] == "false"
    assert int(refused.headers["Retry-After"]) > 0
    assert (refused.status_code, refused.json()["code"]) == (429, "insufficient_quota")
    assert "starts again at" in refused.json()["detail"] or "in progress" in refused.json()["detail"]
    openai = chat(served, token, max_tokens=40).json()["error"]
    assert (openai["type"], openai["code"]) == ("insufficient_quota", "insufficient_quota")
    anthropic = chat(served, token, "messages", max_tokens=40)
    assert (anthropic.status_code, anthropic.json()["error"]["details"]["error_code"]) == (429, "insufficient_quota")
    assert chat(served, token, stream=True, max_tokens=40).status_code == 429
    record = [record for record in served.records() if record["action"] == "ask.refused"][-1]
    assert (record["user_id"], record["details"]["code"], record["details"]["budget"]) == ("alice", "insufficient_quota", OWN)
    assert fake.calls() == calls
    assert any("budget_nearly_spent" in line for line in served.security_log("budget_nearly_spent"))
    served.cli("budget", "add", OWN, "1")
    assert served.ask(token).status_code == 200


def test_no_price_and_no_bound_are_refused_by_name(served: Service, token: str, fake: FakeOpenAI) -> None:
    unpriced = chat(served, token, model="unpriced")
    assert (unpriced.status_code, unpriced.json()["error"]["code"]) == (400, "model_without_price")
    image = [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]
    unbounded = chat(served, token, messages=[{"role": "user", "content": image}])
    assert (unbounded.status_code, unbounded.json()["error"]["param"]) == (400, "messages[0]")
    searching = chat(served, token, "responses", input="hi", tools=[{"type": "web_search"}])
    assert searching.json()["error"]["code"] == "tool_without_price"
    assert fake.calls() == 0


def test_the_pot_of_a_role_is_shared_and_no_token_avoids_it(served: Service) -> None:
    roles = ["--role", "ai.playground.user", "--role", "ai.budget.small"]
    for name in ("carol", "david"):
        served.cli("clients", "add", name, *roles, "--allow-unknown-role")
    secrets = [served.cli("clients", "rotate", name)["client_secret"] for name in ("carol", "david")]
    carol, david = served.token("carol", secrets[0]), served.token("david", secrets[1], scope="ai.playground.user")
    assert served.ask(carol).status_code == 200
    assert "x-budget-remaining" not in served.ask(carol).headers, "it is not her own"
    assert served.ask(david).status_code == 429


def test_each_attempt_that_may_be_billed_keeps_its_own_reservation(served: Service, token: str, fake: FakeOpenAI) -> None:
    """A connection that breaks off may have been billed; the fallback is another model, and reserves besides."""
    fake.set("close")
    chat(served, token, model="steady", max_tokens=10)
    attempted = last(served, "ask.attempted")
    assert (attempted["model"], of(attempted["reserved"], OWN)["attempt"]) == ("fast", 2)
    spent = [one for one in last(served, "ask.failed")["spent"] if one["id"] == OWN]
    assert sorted(one.get("attempt", 1) for one in spent) == [1, 2]
    assert audited(served)[OWN] == "0.02"


def test_the_successor_of_a_killed_worker_settles_its_questions(served: Service, token: str, fake: FakeOpenAI) -> None:
    fake.set("hang")
    asking = threading.Thread(target=lambda: ask_in_vain(served, token))
    asking.start()
    eventually(lambda: fake.calls("open") == 1)
    for pid in served.worker_pids():
        os.kill(pid, signal.SIGKILL)
    asking.join()
    eventually(lambda: any(record["action"] == "budget.settled" for record in served.records()))
    settled = last(served, "budget.settled")
    assert of(settled["spent"], OWN) | {"period": ""} == {
        "id": OWN,
        "period": "",
        "unit": "USD",
        "by": "reservation",
        "amount": "0.014",
    }
    served.wait_ready()
    fake.set()
    assert audited(served)[OWN] == "0.014"
    assert served.verify()["open"]["records"] == [settled["received"]], "it has no end all the same"


def ask_in_vain(served: Service, token: str) -> None:
    with pytest.raises(httpx.HTTPError):
        served.ask(token)


@pytest.mark.parametrize("how", ["deleted", "taken by a folder"])
def test_a_store_that_is_lost_refuses_and_comes_back(served: Service, token: str, fake: FakeOpenAI, how: str) -> None:
    assert served.ask(token).status_code == 200
    other = served.token("bobby", served.add_client("bobby"))
    store = served.folder / "logs/budgets.sqlite3"
    for suffix in ("", "-wal", "-shm"):
        store.with_name(store.name + suffix).unlink()
    if how == "taken by a folder":
        store.mkdir()
        calls = fake.calls()
        for _ in range(4):
            refused = served.ask(token)
            assert (refused.status_code, refused.json()["code"]) == (503, "budgets_unavailable")
        assert fake.calls() == calls
        assert served.ask(other).status_code == 200, "no budget of theirs"
        store.rmdir()
    eventually(lambda: served.ask(token).status_code == 200)
    served.stop()
    served.start()
    answered = sum(record["action"] == "ask.answered" and record["user_id"] == "alice" for record in served.records())
    assert audited(served)[OWN] == f"{7 * answered / 1000:g}"


def test_a_budget_that_comes_with_sighup_is_in_force_for_all_workers(served: Service, fake: FakeOpenAI) -> None:
    bobby = served.token("bobby", served.add_client("bobby"))
    assert "x-budget-remaining" not in served.ask(bobby).headers
    policy = served.folder / "policy.toml"
    policy.write_text(policy.read_text() + '[[budgets]]\nprincipal = "bobby"\nmoney = 0.02\nper = "month"\n')
    assert served.process is not None
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: "x-budget-remaining" in served.ask(bobby).headers)
    eventually(lambda: served.ask(bobby).status_code == 429)
    assert audited(served)["principal=bobby/month/money"] in ("0.007", "0.014")
