"""Which request begins next: known callers at once, one other in each turn of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from app.serving.turns import KNOWN_SECONDS, Turns


class Request:
    def __init__(self, begun: list[Request], *headers: tuple[bytes, bytes], is_proven: bool = False) -> None:
        self.scope: Any = {"headers": headers}
        self.is_proven, self._begun = is_proven, begun

    def start(self) -> asyncio.Task[None]:
        self._begun.append(self)
        return asyncio.get_running_loop().create_task(asyncio.sleep(0))


GOOD, BAD = (b"authorization", b"Bearer good"), (b"authorization", b"Bearer bad")
KEY = (b"x-api-key", b"good")


def on_a_loop(work: Callable[[], Awaitable[None]]) -> None:
    async def run() -> None:
        await work()

    asyncio.run(run())


async def proven(turns: Turns, header: tuple[bytes, bytes]) -> None:
    turns.begin(Request([], header, is_proven=True), None)
    for _ in range(4):
        await asyncio.sleep(0)


def test_of_unknown_callers_one_begins_in_each_turn_in_their_order() -> None:
    async def work() -> None:
        turns, begun = Turns(), list[Request]()
        every = [Request(begun, BAD) if number % 2 else Request(begun) for number in range(5)]
        for one in every:
            turns.begin(one, None)
        for number in range(1, 6):
            assert begun == every[:number]
            await asyncio.sleep(0)

    on_a_loop(work)


def test_a_caller_that_was_proven_waits_for_nobody() -> None:
    async def work() -> None:
        turns, begun = Turns(), list[Request]()
        for header in (GOOD, KEY):
            await proven(turns, header)
        flood, known = [Request(begun, BAD) for _ in range(5)], [Request(begun, one) for one in (GOOD, KEY, GOOD)]
        for one in (*flood, *known):
            turns.begin(one, None)
        assert begun == [flood[0], *known]

    on_a_loop(work)


def test_a_credential_that_was_refused_stays_unknown() -> None:
    async def work() -> None:
        turns, begun = Turns(), list[Request]()
        turns.begin(Request([], BAD), None)
        for _ in range(4):
            await asyncio.sleep(0)
        every = [Request(begun), Request(begun, BAD)]
        for one in every:
            turns.begin(one, None)
        assert begun == every[:1]

    on_a_loop(work)


def test_a_proven_credential_is_forgotten_in_two_minutes() -> None:
    async def work() -> None:
        now = 0.0
        turns, begun = Turns(lambda: now), list[Request]()
        await proven(turns, GOOD)
        for later, is_known in ((KNOWN_SECONDS + 1, True), (2 * KNOWN_SECONDS + 2, True), (3 * KNOWN_SECONDS + 3, False)):
            now = later
            begun.clear()
            turns.begin(Request(begun, KEY), None)
            turns.begin(Request(begun, GOOD), None)
            assert (len(begun) == 2) is is_known
            for _ in range(4):
                await asyncio.sleep(0)

    on_a_loop(work)


def test_a_turn_without_others_leaves_nothing_behind() -> None:
    async def work() -> None:
        turns, begun = Turns(), list[Request]()
        for number in range(1, 4):
            turns.begin(Request(begun), None)
            assert len(begun) == number
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    on_a_loop(work)


def test_a_connection_whose_last_caller_was_proven_waits_for_nobody() -> None:
    async def work() -> None:
        turns, begun = Turns(), list[Request]()
        flood = [Request(begun, BAD) for _ in range(2)]
        for one in flood:
            turns.begin(one, Request([], BAD))
        next_one = Request(begun, (b"authorization", b"Bearer renewed"))
        turns.begin(next_one, Request([], GOOD, is_proven=True))
        assert begun == [flood[0], next_one]

    on_a_loop(work)
