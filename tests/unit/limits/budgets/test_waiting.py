"""Who waits for the store is refused in the end, but not for what this process itself is late."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.limits.budgets.store_thread import Job
from app.limits.budgets.waiting import OWN_WORK, TICKS, Waiting

pytestmark = pytest.mark.slow
TIMEOUT = 0.2


async def refused_after(*, is_at_work: bool, blocked_seconds: float = 0.0) -> tuple[float, int]:
    """How long it took, and how often the loop turned meanwhile."""
    refused: list[Job] = []
    waiting, job = Waiting(TIMEOUT, refused.append, lambda: is_at_work), Job(None)
    started, turns = time.monotonic(), 0
    waiting.add(job)
    time.sleep(blocked_seconds)  # as a machine that is busy does
    while not waiting.hangs:
        turns += 1
        await asyncio.sleep(0.01)
    assert refused
    assert set(refused) == {job}
    waiting.remove(job)
    assert not waiting.hangs
    return time.monotonic() - started, turns


def test_what_the_store_has_for_too_long_is_refused() -> None:
    seconds, _ = asyncio.run(refused_after(is_at_work=False))
    assert seconds >= TIMEOUT


def test_a_loop_that_is_late_refuses_nobody_for_it() -> None:
    seconds, turns = asyncio.run(refused_after(is_at_work=False, blocked_seconds=3 * TIMEOUT))
    assert seconds >= 3 * TIMEOUT + TIMEOUT * (TICKS - 1) / TICKS
    assert turns > 1


def test_the_threads_own_work_counts_in_part() -> None:
    seconds, _ = asyncio.run(refused_after(is_at_work=True))
    assert seconds >= TIMEOUT / OWN_WORK
