"""Memory of answers: small ones ask for none, large ones wait, a stream that grows is refused at once."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import Overloaded, UpstreamError
from app.upstream.answer_memory import FREE_BYTES, GROWTH_BYTES, AnswerMemory
from app.upstream.fair_slots import FairSlots

MB = 1024 * 1024


def memory_of(room: FairSlots, who: str = "alice") -> AnswerMemory:
    memory = AnswerMemory()
    memory.of(room, who)
    return memory


def test_without_a_room_nothing_is_counted() -> None:
    memory = AnswerMemory()
    asyncio.run(memory.take(100 * MB))
    memory.reach(100 * MB)
    memory.end()
    assert memory.count == 0


def test_a_plain_answer_waits_for_one_that_is_delivered() -> None:
    async def work() -> None:
        room = FairSlots(4 * MB)
        first, second = memory_of(room), memory_of(room)
        await first.take(2 * MB)
        waiting = asyncio.create_task(second.take(MB))
        await asyncio.sleep(0)
        assert not waiting.done()
        first.end()
        await waiting
        assert (first.count, second.count) == (0, MB)

    asyncio.run(work())


def test_what_turned_out_smaller_leaves_room() -> None:
    async def work() -> None:
        room = FairSlots(4 * MB, wait_seconds=0)
        first, second = memory_of(room), memory_of(room)
        await first.take(32 * MB)
        assert first.count == 2 * MB
        first.shrink(MB)
        await second.take(MB)
        assert (first.count, second.count) == (MB, MB)

    asyncio.run(work())


def test_a_stream_grows_in_steps_and_is_refused_past_its_share() -> None:
    room = FairSlots(4 * MB)
    memory = memory_of(room)
    memory.reach(FREE_BYTES)
    assert memory.count == 0
    memory.reach(FREE_BYTES + 1)
    assert memory.count == FREE_BYTES + 1 + GROWTH_BYTES
    memory.reach(MB)
    with pytest.raises(Overloaded, match="memory"):
        memory_of(room).reach(2 * MB - GROWTH_BYTES)
    memory.reach(2 * MB)
    assert memory.count == 2 * MB, "all of a share, and no more"
    with pytest.raises(UpstreamError):
        memory.reach(2 * MB + 1)  # a further try would not help
    memory.shrink(MB + GROWTH_BYTES)
    memory_of(room, "bobby").reach(MB)
    memory.end()
    assert memory.count == 0
    memory_of(room).reach(MB)


def test_two_answers_have_each_its_own_until_one_is_taken_over() -> None:
    room = FairSlots(8 * MB)
    memory = memory_of(room)
    first, second = memory.beside(), memory.beside()
    asyncio.run(first.take(MB))
    asyncio.run(second.take(2 * MB))
    first.end()
    memory.take_over(second)
    second.end()
    assert (memory.count, room.in_flight) == (2 * MB, 2 * MB)
    memory.end()
    assert room.in_flight == 0
