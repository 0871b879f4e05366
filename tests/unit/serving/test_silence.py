"""A caller is late by what the loop has read, not by the clock alone."""

from __future__ import annotations

import asyncio

from app.serving.silence import HALF_CLOSE_SECONDS, Silence

from ...support.virtual_time import simulate


def test_a_silence_is_long_after_its_time_and_short_after_each_byte() -> None:
    async def work() -> list[bool]:
        loop, seen = asyncio.get_running_loop(), []
        silence = Silence(loop)
        for waited in (0.5, 0.9, 0.9, 1.1, 0.9, 5.0):
            silence.interrupt(loop.time())
            await asyncio.sleep(waited * HALF_CLOSE_SECONDS)
            seen.append(silence.is_long)
        return seen

    assert simulate(work()) == [False, False, False, True, False, True]


def test_the_end_of_a_connection_leaves_no_timer() -> None:
    async def work() -> bool:
        silence = Silence(asyncio.get_running_loop())
        silence.interrupt(0.0)
        silence.end()
        await asyncio.sleep(2 * HALF_CLOSE_SECONDS)
        return silence.is_long

    assert simulate(work()) is False
