"""Budgets under a crowd and under kill -9: never more is generated than there is money for, and the books always agree."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from os import kill
from pathlib import Path
from typing import Any

from ..support.budget_policy import ANSWER_TOKENS, policy_for
from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from .crash import answered_again
from .figures import Figures
from .load import Load, Outcome, ask_all

CAP = 2 * ANSWER_TOKENS
"""Each question reserves twice what it costs in the end."""
VICTIMS = {"a worker": 6, "all workers": 2, "the parent with all": 2}


def crowd(folder: Path, *, clients: int, money_for: int, workers: int) -> Figures:
    """*clients* ask at once against money for *money_for* answers; then one asks until it is spent."""
    with FakeOpenAI() as fake, Service(folder, workers=workers, **policy_for(folder, fake, money_for * ANSWER_TOKENS)) as service:
        started = time.monotonic()
        token = service.token("alice", service.add_client("alice"))
        outcomes = asyncio.run(ask_all(service.port, token, clients, [f"question {n}" for n in range(clients)]))
        in_crowd = fake.calls()
        verify_refusals(outcomes)
        while (answer := service.ask(token)).status_code == 200:
            assert fake.calls() <= money_for
        assert answer.json()["code"] == "insufficient_quota"
        (row,) = service.cli("budget", "show")
        assert float(row["left"]) < CAP / 1000, f"refused with money for one more: {row}"
        calls, answered = fake.calls(), sum(one.status == 200 for one in outcomes)
        assert 0 < answered == in_crowd
        assert calls <= money_for, f"{calls} generations with money for {money_for}"
        verify_books(service, calls)
        remarks = [f"{in_crowd} answered of {clients:,} at once, {calls} of at most {money_for} in the end"]
        return Figures(calls, len(service.records()), time.monotonic() - started, remarks=remarks)


def kills(folder: Path, *, rounds: int, workers: int, clients: int = 32, seed: int | None = None) -> Figures:
    """Kill processes *rounds* times while many ask; then the books agree, and cover every generation."""
    with FakeOpenAI() as fake, Service(folder, workers=workers, **policy_for(folder, fake, 10**9)) as service:
        return asyncio.run(_kill(service, fake, rounds, clients, random.Random(seed)))


async def _kill(service: Service, fake: FakeOpenAI, rounds: int, clients: int, chance: random.Random) -> Figures:
    token, started, killed = service.token("alice", service.add_client("alice")), time.monotonic(), Counter[str]()
    async with Load(service.port, token, clients) as asking:
        for _ in range(rounds):
            await answered_again(asking)
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            kind = chance.choices(list(VICTIMS), list(VICTIMS.values()))[0]
            killed[kind] += 1
            await asyncio.to_thread(_kill_once, service, kind, chance)
        await answered_again(asking)
    await asyncio.to_thread(service.wait_ready)
    settled = [record["action"] for record in service.records() if record["action"].startswith("budget.")]
    spent = verify_books(service, fake.calls())
    whose = ", ".join(f"{times} x {kind}" for kind, times in killed.most_common())
    remarks = [f"killed: {whose}", f"{settled.count('budget.settled')} settled and {settled.count('budget.released')} released"]
    remarks.append(f"{fake.calls():,} generations, {spent:.3f} spent, 0 differences")
    return Figures(asking.answered, len(service.records()), time.monotonic() - started, remarks=remarks)


def _kill_once(service: Service, kind: str, chance: random.Random) -> None:
    workers = service.worker_pids()
    if kind == "the parent with all":
        service.kill()
        service.start()
        return
    for pid in workers if kind == "all workers" else [chance.choice(workers)] if workers else []:
        with suppress(ProcessLookupError):
            kill(pid, signal.SIGKILL)
    service.wait_ready()


def verify_refusals(outcomes: list[Outcome]) -> None:
    """Everyone is answered, or refused because of the budget."""
    found = Counter((one.status, one.code) for one in outcomes)
    assert found.keys() <= {(200, None), (429, "insufficient_quota")}, found


def verify_books(service: Service, calls: int) -> float:
    """The log and the store say the same, and all that the upstream counted is in it; what was spent."""
    audited: dict[str, Any] = service.cli("budget", "audit", status=None)
    assert audited["ok"], audited
    assert audited["open"] == 0
    spent = sum(float(one["amount"]) for one in audited["spent"])
    assert spent > (calls - 0.5) * ANSWER_TOKENS / 1000, f"{calls} generations, and only {spent} spent"
    return spent
