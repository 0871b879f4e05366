"""Slots of a server: nobody starves another, and what waits is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Interrupted, Overloaded
from app.upstream.fair_slots import MAX_WAITING, FairSlots


def run(work: Callable[[AsyncExitStack], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            await work(stack)

    asyncio.run(main())


@asynccontextmanager
async def taken_by(slots: FairSlots, who: str) -> AsyncIterator[None]:
    """A slot until the end of the block."""
    await slots.take(who)
    try:
        yield
    finally:
        slots.give_back(who)


async def take(stack: AsyncExitStack, slots: FairSlots, who: str, count: int) -> int:
    """How many of *count* get a slot without waiting for somebody else."""
    taken = 0
    for _ in range(count):
        try:
            await stack.enter_async_context(taken_by(slots, who))
        except Overloaded:
            break
        taken += 1
    return taken


def test_one_alone_gets_half_and_there_is_a_slot_for_the_next() -> None:
    async def work(stack: AsyncExitStack) -> None:
        slots = FairSlots(1024, wait_seconds=0)
        assert [await take(stack, slots, who, 2000) for who in ("alice", "bobby", "carol")] == [512, 256, 128]

    run(work)


@given(takers=st.lists(st.sampled_from("abcdefgh"), max_size=400))
def test_whoever_has_none_gets_one_whatever_the_others_took(takers: list[str]) -> None:
    async def work(stack: AsyncExitStack) -> None:
        slots = FairSlots(1024, wait_seconds=0)
        for who in takers:
            await take(stack, slots, who, 100)
        assert await take(stack, slots, "newcomer", 1) == 1

    run(work)


def waiting(slots: FairSlots, who: str) -> asyncio.Task[Any]:
    async def wait() -> str:
        async with taken_by(slots, who):
            return who

    return asyncio.create_task(wait())


def test_who_waits_gets_the_slot_that_is_given_back() -> None:
    async def work(stack: AsyncExitStack) -> None:
        slots = FairSlots(2)
        async with taken_by(slots, "alice"):
            task = waiting(slots, "alice")
            await asyncio.sleep(0)
            assert not task.done()
        assert await task == "alice"
        assert slots._free == 2

    run(work)


def test_past_the_bound_a_question_is_refused_at_once() -> None:
    async def work(stack: AsyncExitStack) -> None:
        slots = FairSlots(2)
        async with taken_by(slots, "alice"):
            tasks = [waiting(slots, "alice") for _ in range(MAX_WAITING)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await stack.enter_async_context(taken_by(slots, "alice"))
            async with taken_by(slots, "bobby"):
                pass
        await asyncio.gather(*tasks)

    run(work)


@pytest.mark.parametrize("is_stopped", [False, True], ids=["too long", "stopped"])
def test_a_wait_that_ends_without_a_slot_takes_none(is_stopped: bool) -> None:
    async def work(stack: AsyncExitStack) -> None:
        slots = FairSlots(2, wait_seconds=60 if is_stopped else 0)
        async with taken_by(slots, "alice"):
            task = waiting(slots, "alice")
            await asyncio.sleep(0)
            if is_stopped:
                task.cancel()
            with pytest.raises(asyncio.CancelledError if is_stopped else Overloaded):
                await task
        assert (slots._free, dict(slots._held), slots._waiting) == (2, {}, {})

    run(work)


def test_a_slot_that_comes_as_its_waiter_is_stopped_is_given_back() -> None:
    async def work(stack: AsyncExitStack) -> None:
        slots = FairSlots(2)
        async with taken_by(slots, "alice"):
            task = waiting(slots, "alice")
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (slots._free, dict(slots._held)) == (2, {})

    run(work)


def test_at_a_stop_nobody_waits_any_more() -> None:
    async def work(stack: AsyncExitStack) -> None:
        slots = FairSlots(2)
        async with taken_by(slots, "alice"):
            task = waiting(slots, "alice")
            await asyncio.sleep(0)
            slots.stop()
            for one in (task, waiting(slots, "alice")):
                with pytest.raises(Interrupted):
                    await one
        assert (slots._free, dict(slots._held), slots._waiting) == (2, {}, {})

    run(work)


def test_many_are_taken_at_once_and_never_more_than_half() -> None:
    async def work(stack: AsyncExitStack) -> None:
        slots = FairSlots(100, wait_seconds=0)
        assert await slots.take("alice", 70) == 50
        assert not slots.take_now("bobby", 51)
        with pytest.raises(Overloaded):
            await slots.take("alice", 1)
        assert await slots.take("bobby", 30) == 30
        slots.give_back("alice", 50)
        assert await slots.take("bobby", 20) == 20

    run(work)


def test_bytes_that_are_enough_for_one_who_waits_do_not_wait_for_another() -> None:
    async def work(stack: AsyncExitStack) -> None:
        slots = FairSlots(64, wait_seconds=60)
        for who, count in (("alice", 32), ("bobby", 16), ("carol", 8)):
            await slots.take(who, count)
        large, small = (asyncio.create_task(slots.take(who, count)) for who, count in (("david", 32), ("erika", 12)))
        await asyncio.sleep(0)
        slots.give_back("bobby", 8)
        await small
        assert not large.done()
        slots.give_back("alice", 32)
        assert await large == 32

    run(work)


def test_who_stood_behind_one_that_gave_up_is_served() -> None:
    async def work(stack: AsyncExitStack) -> None:
        slots = FairSlots(64, wait_seconds=60)
        await slots.take("alice", 32)
        await slots.take("bobby", 16)
        large, small = (asyncio.create_task(slots.take("carol", count)) for count in (32, 8))
        await asyncio.sleep(0)
        large.cancel()
        assert await small == 8

    run(work)
