"""The embedded model serves few callers at a time: a caller that disconnects frees its place at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from pathlib import Path

from app.upstream.embedded import MAX_EMBEDDED_QUESTIONS, MODEL_NAME

from ..support.service import Service
from ..support.waiting import until
from .cut_client import ENDPOINTS, Caller, Plan, stream_body
from .cut_records import CutRecords
from .figures import Figures

TIMEOUT_SECONDS = 120.0
TOKENS = 24
"""Length of an answer that is read to its end."""


def leave_places(folder: Path, *, waves: int) -> Figures:
    """*waves* times fill all places with streams that are all abandoned; then fill them once more and read to the end."""
    with Service(folder) as service:
        return asyncio.run(_leave_places(service, waves, random.Random()))


async def _leave_places(service: Service, waves: int, chance: random.Random) -> Figures:
    token, started, slowest = service.token("alice", service.add_client("alice")), time.monotonic(), 0.0
    for wave in range(waves):
        plans = [Plan.draw(f"leaves-{wave}-{place}", ENDPOINTS, 4.0, chance) for place in range(MAX_EMBEDDED_QUESTIONS)]
        callers = await _run(service, token, plans)
        left = max(one.left for one in callers)
        await until(lambda: not CutRecords(service.records()).open(), "a question has no terminal record")
        slowest = max(slowest, time.monotonic() - left)
    stays = [
        Plan(f"stays-{place}", ENDPOINTS[0], "at any time", "close", 1.0, TIMEOUT_SECONDS)
        for place in range(MAX_EMBEDDED_QUESTIONS)
    ]
    callers = await _run(service, token, stays)
    assert all(one.receipt() for one in callers), [one.raw[:300] for one in callers if not one.receipt()]
    records = CutRecords(service.records())
    overloaded = [one for one in records.refused.values() if one["details"]["code"] != "client_gone"]
    assert not overloaded, overloaded
    verdict = await asyncio.to_thread(service.verify)
    assert (verdict["ok"], verdict["open"]["count"]) == (True, 0), verdict
    remarks = [
        f"{waves * MAX_EMBEDDED_QUESTIONS} left, none was refused",
        f"their records stood {slowest:.2f} s after the last had left",
    ]
    return Figures(
        waves * MAX_EMBEDDED_QUESTIONS + len(callers), len(service.records()), time.monotonic() - started, remarks=remarks
    )


async def _run(service: Service, token: str, plans: Iterable[Plan]) -> list[Caller]:
    callers = [Caller(plan, "", _body(plan)) for plan in plans]
    await asyncio.gather(*(one.run(service.port, token, 0) for one in callers))
    return callers


def _body(plan: Plan) -> dict[str, object]:
    body = stream_body(plan.endpoint, f"{plan.name}: count to one hundred.", MODEL_NAME)
    return {**body, "max_tokens": TOKENS} if plan.name.startswith("stays") else body
