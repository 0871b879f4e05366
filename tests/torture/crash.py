"""Load without a fault, and kill -9 under load: nothing that was acknowledged may be lost, nothing may stand twice."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.security.audit.jsonl import JsonlStore
from app.security.audit.log import AuditLog

from ..fake_openai import FakeOpenAI
from ..service import Service
from .evidence import Evidence
from .load import Load, ask_all

KEY = "sk-planted-key-0123456789"


@dataclass
class Figures:
    """What a round of torture found; it raises AssertionError where a promise was broken."""

    answers: int
    records: int
    seconds: float
    broken: int = 0
    left_open: int = 0
    recovered: int = 0
    ready: list[float] = field(default_factory=list)
    """Seconds from each kill until /readyz was 200 again."""


def load(folder: Path, *, questions: int, clients: int = 64, workers: int = 4) -> Figures:
    """Every question is answered, stands in the log exactly once, and was asked upstream exactly once."""
    with FakeOpenAI(keep_digests=True) as fake, Service(folder, workers=workers, **_upstream(fake)) as service:
        token = service.token("alice", service.add_client("alice"))
        started = time.monotonic()
        told = asyncio.run(ask_all(service.port, token, clients, [f"question {n}" for n in range(questions)]))
        seconds = time.monotonic() - started
        assert [one for one in told if one.status != 200] == []
        assert fake.calls() == questions
        evidence = Evidence(JsonlStore(service.log))
        evidence.read(told)
        evidence.check_each_once()
        evidence.check_calls(fake.seen()["sha256"])
        assert len(evidence.by("ask.received")) == len(evidence.by("ask.answered")) == questions
        assert len({one.seq for one in told}) == questions
    assert AuditLog(JsonlStore(service.log)).verify(evidence.receipts(told)).ok
    return Figures(questions, len(evidence.records), seconds)


def kills(
    folder: Path, *, rounds: int, workers: int, clients: int = 64, parent_too: int = 10, seed: int | None = None
) -> Figures:
    """*rounds* times kill all workers at a random moment; every *parent_too*-th time the parent with them."""
    with FakeOpenAI(keep_digests=True) as fake, Service(folder, workers=workers, **_upstream(fake)) as service:
        token = service.token("alice", service.add_client("alice"))
        started = time.monotonic()
        figures = asyncio.run(_kill(service, token, fake, rounds, clients, parent_too, random.Random(seed)))
        figures.seconds = time.monotonic() - started
        return figures


async def _kill(
    service: Service, token: str, fake: FakeOpenAI, rounds: int, clients: int, parent_too: int, chance: random.Random
) -> Figures:
    evidence, checked = Evidence(JsonlStore(service.log)), 0
    figures = Figures(0, 0, 0.0)
    async with Load(service.port, token, clients) as load:
        for number in range(1, rounds + 1):
            before = len(load.answers)
            await _until(lambda: len(load.answers) > before)  # noqa: B023 - awaited at once
            await asyncio.sleep(chance.uniform(0.0, 0.4))
            figures.ready.append(await _kill_once(service, parent_too > 0 and number % parent_too == 0))
            told = load.outcomes[checked:]
            checked += len(told)
            evidence.read(told)
    await asyncio.to_thread(service.wait_ready)
    evidence.read(load.outcomes[checked:])
    evidence.check_each_once()
    evidence.check_calls(fake.seen()["sha256"])
    verdict = AuditLog(JsonlStore(service.log)).verify(evidence.receipts(load.outcomes))
    assert verdict.ok, verdict.problems
    assert all(one.status in (0, 200) for one in load.outcomes), {one.status for one in load.outcomes}
    figures.answers, figures.records = len(load.answers), len(evidence.records)
    figures.broken = len(load.outcomes) - len(load.answers)
    figures.left_open, figures.recovered = evidence.left_open, len(evidence.by("log.recovered"))
    return figures


async def _kill_once(service: Service, parent_too: bool) -> float:
    """Seconds until it is ready again."""
    killed = service.worker_pids()
    started = time.monotonic()
    if parent_too:
        await asyncio.to_thread(service.kill)
        service.start(wait=False)
    else:
        for pid in killed:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    async with httpx.AsyncClient(timeout=5) as client:
        while time.monotonic() < started + 60:
            with suppress(httpx.HTTPError):
                ready = await client.get(service.url + "/readyz")
                if ready.status_code == 200 and not set(killed) & set(service.worker_pids()):
                    return time.monotonic() - started
            await asyncio.sleep(0.01)
    raise AssertionError(f"not ready 60 s after a kill:\n{service.output()}")


async def _until(condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "nobody is answered any more"
        await asyncio.sleep(0.01)


def _upstream(fake: FakeOpenAI) -> dict[str, str]:
    return {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": KEY}
