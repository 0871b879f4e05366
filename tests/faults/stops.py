"""SIGTERM under load, again and again: nothing acknowledged is lost, no accepted request is reset, the exit status is 0."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from itertools import count
from pathlib import Path

import httpx

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore

from ..support.checked import chain_report
from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from .crash import answered_again, upstream
from .evidence import Evidence
from .figures import Figures
from .load import Load, Outcome

MODEL_SECONDS = 0.05
"""What each answer takes, so that some are always in flight."""


def stop(folder: Path, *, rounds: int, workers: int, clients: int = 16) -> Figures:
    """Half of the clients keep their connections; each checks first whether the service has closed it."""
    with FakeOpenAI(keep_digests=True) as fake:
        fake.set(delay=MODEL_SECONDS)
        service = Service(folder, workers=workers, **upstream(fake))
        with service:
            pass
        return asyncio.run(_stop(service, fake, rounds, clients))


async def _stop(service: Service, fake: FakeOpenAI, rounds: int, clients: int) -> Figures:
    secret, evidence, started, chance = service.add_client(), Evidence(service.log), time.monotonic(), random.Random()
    figures, numbers, took, unready = Figures(0, 0, 0.0), count(), list[float](), 0
    outcomes, resets = list[Outcome](), Counter[int]()
    for number in range(rounds):
        await asyncio.to_thread(service.start)
        token = await asyncio.to_thread(service.token, "alice", secret)
        queries = map("question {}".format, numbers)
        async with Load(service.port, token, clients, queries, connects_anew=clients // 2) as asking:
            await answered_again(asking)
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            probing = asyncio.create_task(_probe(service))
            begun = time.monotonic()
            status = await asyncio.to_thread(service.stop)
            took.append(time.monotonic() - begun)
        seen = await probing
        assert status == 0, f"it ended with {status}:\n{service.output()}"
        assert 200 not in seen[seen.index(503) :] if 503 in seen else True, f"/readyz was ready again: {seen}"
        unready += 503 in seen
        evidence.read(asking.outcomes)
        assert evidence.left_open == 0, f"{evidence.left_open} questions have no end"
        assert evidence.is_all_signed(), "the last checkpoint does not cover the last record"
        outcomes += asking.outcomes
        resets[number] += sum(one.was_sent and not one.status for one in asking.outcomes)
    evidence.check_calls(fake.seen()["sha256"])
    verdict = chain_report(AuditLog(JsonlStore(service.log)))
    assert verdict.ok, verdict.findings
    statuses = Counter((one.status, one.code) for one in outcomes if one.status or one.was_sent)
    assert not resets.total(), f"requests were reset, in the rounds {dict(+resets)}: {dict(statuses)}"
    assert set(statuses) <= {(200, None), (503, "interrupted")}, dict(statuses)
    figures.answers, figures.records, figures.seconds = statuses[200, None], evidence.records, time.monotonic() - started
    figures.remarks = [
        f"{rounds} x SIGTERM, each ended with 0 after {sorted(took)[len(took) // 2]:.2f} s (median), {max(took):.2f} s (longest)",
        f"{statuses[503, 'interrupted']} interrupted",
        f"{sum(not one.was_sent for one in outcomes)} not accepted",
        f"/readyz said 503 in {unready}",
    ]
    return figures


async def _probe(service: Service) -> list[int]:
    """What /readyz answers, on one connection, until nobody does."""
    seen: list[int] = []
    async with httpx.AsyncClient(timeout=5) as client:
        while True:
            try:
                seen.append((await client.get(service.url + "/readyz")).status_code)
            except httpx.HTTPError:
                return seen
            await asyncio.sleep(0.005)
