"""A worker is stopped (SIGSTOP) under load: the supervisor puts another in its place, and the log says so."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from ..support.waiting import until
from .crash import all_signed, answered_again, upstream
from .evidence import Evidence
from .figures import Figures
from .load import Load

LOCKED = {(503, "limits_unavailable"), (503, "audit_unavailable")}
"""What others get while the stopped worker holds a lock."""


def freeze(folder: Path, *, rounds: int, workers: int, clients: int = 16) -> Figures:
    """Stop a worker *rounds* times. Nothing that was acknowledged is lost."""
    with FakeOpenAI(keep_digests=True) as fake, Service(folder, workers=workers, **upstream(fake)) as service:
        return asyncio.run(_freeze(service, fake, rounds, clients))


async def _freeze(service: Service, fake: FakeOpenAI, rounds: int, clients: int) -> Figures:
    token, started = service.token("alice", service.add_client("alice")), time.monotonic()
    evidence, figures = Evidence(service.log), Figures(0, 0, 0.0)
    stopped: list[int] = []
    async with Load(service.port, token, clients) as asking:
        for _ in range(rounds):
            await answered_again(asking)
            stopped.append(random.choice(service.worker_pids()))
            at = time.monotonic()
            os.kill(stopped[-1], signal.SIGSTOP)
            await until(lambda: len(_replaced(service)) == len(stopped))
            figures.ready.append(time.monotonic() - at)
        await answered_again(asking)
    evidence.read(asking.outcomes)
    evidence.check_calls(fake.seen()["sha256"])
    await all_signed(evidence)
    records = evidence.by("worker.replaced")
    assert [one["details"]["pid"] for one in records] == stopped
    assert {one["details"]["reason"] for one in records} == {"stands_still"}
    assert not set(stopped) & set(service.worker_pids())
    statuses = Counter((one.status, one.code) for one in asking.outcomes)
    assert set(statuses) <= {(0, None), (200, None), *LOCKED}, statuses
    figures.seconds, figures.answers, figures.records = time.monotonic() - started, asking.answered, evidence.records
    figures.broken, figures.left_open = len(asking.outcomes) - asking.answered, evidence.left_open
    stood = max(one["details"]["seconds"] for one in records)
    figures.remarks.append(f"noticed after {stood:.1f} s at most; replaced after {max(figures.ready):.1f} s (wanted 5)")
    return figures


def _replaced(service: Service) -> list[bytes]:
    return [line for line in service.log.read_bytes().split(b"\n") if b'"action":"worker.replaced"' in line]
