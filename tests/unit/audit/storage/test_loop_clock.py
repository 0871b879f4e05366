"""A clock that runs only while its event loop does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from app.audit.storage.loop_clock import LoopClock, in_time


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


def test_a_blocked_moment_counts_as_one_step_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("app.audit.storage.loop_clock.time.monotonic", lambda: now[0])
    clock, seen = LoopClock(2.5), []
    for passed in (0.0, 1.0, 2.5, 7.0, 0.5):
        now[0] += passed
        seen.append(clock.read())
    assert seen == [0.0, 1.0, 3.5, 6.0, 6.5]


async def nothing(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "done"


@pytest.mark.slow
def test_work_that_takes_too_long_is_given_up_in_time() -> None:
    async def main() -> None:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            await in_time(nothing(60), 0.4)
        assert 0.35 < time.monotonic() - started < 5

    run(main())


@pytest.mark.slow
def test_work_that_was_done_while_the_loop_was_blocked_is_in_time() -> None:
    async def main() -> None:
        work = asyncio.create_task(in_time(nothing(0.05), 0.4))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        time.sleep(1)
        assert await work == "done"

    run(main())


def test_an_error_and_a_cancellation_pass_through() -> None:
    async def fail() -> None:
        raise ValueError("why")

    async def main() -> None:
        with pytest.raises(ValueError, match="why"):
            await in_time(fail(), 1)
        ended = asyncio.Event()

        async def wait() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

        work = asyncio.create_task(in_time(wait(), 60))
        await asyncio.sleep(0.01)
        work.cancel()
        await asyncio.wait([work])
        await asyncio.wait_for(ended.wait(), 5)

    run(main())
