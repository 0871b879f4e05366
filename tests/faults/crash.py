"""Load without a fault, and kill -9 under load: no acknowledged record is lost, none is written twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore

from ..support.checked import chain_report
from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from ..support.waiting import until
from .evidence import Evidence
from .figures import Figures
from .load import Load
from .readers import Readers

KEY = "sk-planted-key-0123456789"
VICTIMS = {"a worker": 12, "all workers": 3, "the notary": 3, "the parent with all": 2}
"""What is killed, and how often among twenty kills."""


def load(folder: Path, *, questions: int, clients: int = 64, workers: int = 4, readers: int = 0) -> Figures:
    """Every question is answered, recorded exactly once, and sent upstream exactly once."""
    with FakeOpenAI(keep_digests=True) as fake, Service(folder, workers=workers, **upstream(fake)) as service:
        return asyncio.run(_load(service, fake, questions, clients, readers))


async def _load(service: Service, fake: FakeOpenAI, questions: int, clients: int, readers: int) -> Figures:
    token = service.token("alice", service.add_client("alice"))
    started = time.monotonic()
    async with Load(service.port, token, clients, [f"question {n}" for n in range(questions)]) as asking:
        async with Readers(service, asking, readers) as reading:
            await asking.finish()
            seconds = time.monotonic() - started
    outcomes = asking.outcomes
    assert [one for one in outcomes if one.status != 200] == []
    assert reading.refused == 0, f"{reading.refused} readers were refused"
    assert fake.calls() == questions
    evidence = Evidence(service.log)
    evidence.read(outcomes)
    evidence.check_calls(fake.seen()["sha256"])
    assert evidence.actions["ask.received"] == evidence.actions["ask.answered"] == questions
    await all_signed(evidence)
    assert chain_report(AuditLog(JsonlStore(service.log))).ok
    return Figures(questions, evidence.records, seconds, remarks=reading.remarks())


def kills(
    folder: Path,
    *,
    rounds: int,
    workers: int,
    clients: int = 64,
    readers: int = 0,
    victim: str | None = None,
    seed: int | None = None,
) -> Figures:
    """Kill processes *rounds* times at random moments: always *victim*, or drawn from VICTIMS."""
    with FakeOpenAI(keep_digests=True) as fake, Service(folder, workers=workers, **upstream(fake)) as service:
        return asyncio.run(_kill(service, fake, rounds, clients, readers, victim, random.Random(seed)))


async def _kill(
    service: Service, fake: FakeOpenAI, rounds: int, clients: int, readers: int, victim: str | None, chance: random.Random
) -> Figures:
    """After every kill, verify what the log has gained, its signed checkpoint, and the answers that clients got."""
    token = service.token("alice", service.add_client("alice"))
    evidence, figures, checked = Evidence(service.log), Figures(0, 0, 0.0), 0
    killed, started = Counter[str](), time.monotonic()
    async with Load(service.port, token, clients) as asking:
        await until(lambda: (service.log.with_suffix(".tree") / "checkpoint").exists())
        async with Readers(service, asking, readers) as reading:
            for _ in range(rounds):
                await answered_again(asking)
                await asyncio.sleep(chance.uniform(0.0, 0.4))
                kind = victim or chance.choices(list(VICTIMS), list(VICTIMS.values()))[0]
                killed[kind] += 1
                await _kill_once(service, kind, chance, figures)
                outcomes = asking.outcomes[checked:]
                checked += len(outcomes)
                evidence.read(outcomes)
            verified = evidence.reads
            await asyncio.to_thread(service.wait_ready)
    evidence.read(asking.outcomes[checked:])
    evidence.check_calls(fake.seen()["sha256"])
    await all_signed(evidence)
    verdict = chain_report(AuditLog(JsonlStore(service.log)))
    assert verdict.ok, verdict.findings
    assert all(one.status in (0, 200) for one in asking.outcomes), Counter((one.status, one.code) for one in asking.outcomes)
    figures.seconds = time.monotonic() - started
    figures.answers, figures.records = asking.answered, evidence.records
    figures.broken = len(asking.outcomes) - asking.answered
    figures.left_open, figures.recovered = evidence.left_open, evidence.actions["log.recovered"]
    whose = ", ".join(f"{times} x {kind}" for kind, times in killed.most_common())
    figures.remarks = [f"{verified:,} of {rounds:,} verify", f"killed: {whose}", *reading.remarks()]
    return figures


async def _kill_once(service: Service, kind: str, chance: random.Random, figures: Figures) -> None:
    """If no worker is left, wait until the service is ready again and keep how long that took."""
    workers = service.worker_pids()
    if kind == "the notary":
        _kill_all([service.notary_pid()])
    elif kind == "a worker":
        _kill_all([chance.choice(workers)] if workers else [])
    else:
        started = time.monotonic()
        if kind == "the parent with all":
            await asyncio.to_thread(service.kill)
            service.start(wait=False)
        else:
            _kill_all(workers)
        await _ready_without(service, set(workers))
        figures.ready.append(time.monotonic() - started)


def _kill_all(pids: list[int]) -> None:
    for pid in pids:
        if pid > 0:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def _ready_without(service: Service, killed: set[int], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    async with httpx.AsyncClient(timeout=5) as client:
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                ready = await client.get(service.url + "/readyz")
                if ready.status_code == 200 and not killed & set(service.worker_pids()):
                    return
            await asyncio.sleep(0.01)
    raise AssertionError(f"not ready {seconds} s after a kill:\n{service.output()}")


async def answered_again(asking: Load) -> None:
    """Wait until one more question is answered."""
    before, counted = asking.answered, len(asking.outcomes)
    try:
        await until(lambda: asking.answered > before)
    except AssertionError:
        since = Counter((one.status, one.code) for one in asking.outcomes[counted:])
        raise AssertionError(f"no question is answered any more; clients get {dict(since)}") from None


async def all_signed(evidence: Evidence) -> None:
    """Wait until the published checkpoint covers every record."""
    deadline = time.monotonic() + 30
    evidence.read()
    while not evidence.is_all_signed():
        assert time.monotonic() < deadline, "no new checkpoint is signed"
        await asyncio.sleep(0.05)
        evidence.read()


def upstream(fake: FakeOpenAI) -> dict[str, str]:
    return {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": KEY}


async def steadily_refusing(service: Service, load: Load, seconds: float) -> None:
    """Wait until only refusals came for *seconds* and /readyz says not ready."""
    since, seen, counted, deadline = time.monotonic(), load.answered, len(load.outcomes), time.monotonic() + 120
    unready = False
    while time.monotonic() < since + seconds or len(load.outcomes) == counted or not unready:
        async with httpx.AsyncClient(timeout=30) as client:
            unready = (await client.get(service.url + "/readyz")).status_code == 503
        if load.answered != seen:
            since, seen, counted = time.monotonic(), load.answered, len(load.outcomes)
        assert time.monotonic() < deadline, "questions are still answered"
        await asyncio.sleep(0.05)


def token_status(service: Service, secret: str) -> int:
    form = {"grant_type": "client_credentials"}
    return httpx.post(service.url + "/token", data=form, auth=("alice", secret), timeout=30).status_code
