"""Work on large answers: one after the other, to its end, with time for others in between; and what is refused unread."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable

import pytest

from app.errors import UpstreamError
from app.upstream.bounds import LARGE_BYTES, LIGHT_PIECES, PIECES, STEP_BYTES
from app.upstream.turns import Turns, is_heavy, verify_pieces


@pytest.mark.parametrize("mark", PIECES)
def test_a_document_of_too_many_pieces_is_refused(mark: bytes) -> None:
    verify_pieces(mark * PIECES[mark])
    with pytest.raises(UpstreamError):
        verify_pieces(mark * (PIECES[mark] + 1))


def test_lists_and_objects_are_counted_together() -> None:
    half = PIECES[b"["] // 2
    verify_pieces(b"[]{}" * half)
    with pytest.raises(UpstreamError):
        verify_pieces(b"[]{}" * half + b"[]")


def test_a_document_is_heavy_by_its_size_or_by_its_pieces() -> None:
    assert not is_heavy(b"[" * STEP_BYTES)
    assert not is_heavy(b"1," * STEP_BYTES), "numbers are cheap"
    assert is_heavy(b" " * STEP_BYTES + b"[{" * LIGHT_PIECES)
    assert is_heavy(b" " * STEP_BYTES + b'""' * (LIGHT_PIECES + 1))
    assert not is_heavy(b"x" * LARGE_BYTES)
    assert is_heavy(b"x" * (LARGE_BYTES + 1))


class Blocked:
    """Work that begins, and ends when it may."""

    def __init__(self) -> None:
        self.begun, self.may_end, self.has_ended = threading.Event(), threading.Event(), False

    def __call__(self) -> str:
        self.begun.set()
        assert self.may_end.wait(30)
        self.has_ended = True
        return "done"


async def begin(turns: Turns, work: Callable[[], str]) -> asyncio.Task[str]:
    task = asyncio.create_task(turns.work(work))
    await asyncio.sleep(0)
    return task


def test_one_piece_of_work_waits_for_the_other() -> None:
    async def main() -> None:
        turns, running, most = Turns(), 0, 0

        def work() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            time.sleep(0.02)
            running -= 1

        await asyncio.gather(*(turns.work(work) for _ in range(4)))
        assert most == 1

    asyncio.run(main())


@pytest.mark.parametrize("cancellations", [1, 2, 3])
def test_cancelled_work_has_ended_before_the_cancellation_goes_on(cancellations: int) -> None:
    async def main() -> None:
        turns, work = Turns(), Blocked()
        task = await begin(turns, work)
        await asyncio.to_thread(work.begun.wait, 30)
        for _ in range(cancellations):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        work.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert work.has_ended
        assert await turns.work(lambda: "next") == "next"

    asyncio.run(main())


def test_what_work_raises_is_raised() -> None:
    async def main() -> None:
        with pytest.raises(UpstreamError):
            await Turns().work(verify_pieces, b"[" * (PIECES[b"["] + 1))

    asyncio.run(main())


def test_streams_that_are_behind_take_turns() -> None:
    """Each takes one step, then all others do."""

    async def main() -> list[int]:
        turns, steps = Turns(), list[int]()

        async def stream(number: int) -> None:
            for _ in range(3):
                await turns.step()
                steps.append(number)

        await asyncio.gather(*map(stream, range(4)))
        return steps

    assert asyncio.run(main()) == [0, 1, 2, 3] * 3


def test_an_error_and_what_it_was_read_from_are_freed_at_once() -> None:
    class Failed(Exception): ...

    def fail() -> None:
        raise Failed

    async def main() -> weakref.ref[Failed] | None:
        try:
            await Turns().work(fail)
        except Failed as error:
            return weakref.ref(error)
        return None

    gc.disable()
    try:
        failed = asyncio.run(main())
        assert failed is not None
        assert failed() is None
    finally:
        gc.enable()
