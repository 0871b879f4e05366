"""Work goes to its end; a caller who was cancelled is told after it."""

from __future__ import annotations

import asyncio

import pytest

from app.kit.finished import finished

pytestmark = pytest.mark.anyio


async def test_the_result_and_the_error_are_those_of_the_work() -> None:
    async def add(one: int, two: int) -> int:
        return one // two

    assert await finished(add(4, 2)) == 2
    with pytest.raises(ZeroDivisionError):
        await finished(add(1, 0))


@pytest.mark.parametrize("fails", [False, True])
async def test_who_is_cancelled_again_and_again_hears_of_it_after_the_end(fails: bool) -> None:
    may_end, ended = asyncio.Event(), []

    async def work() -> None:
        await may_end.wait()
        ended.append(True)
        if fails:
            raise OSError("of the work")

    waiting = asyncio.create_task(finished(work()))
    for _ in range(5):
        await asyncio.sleep(0)
        waiting.cancel()
    assert not waiting.done()
    may_end.set()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert ended
