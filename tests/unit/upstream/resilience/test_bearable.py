"""Load shedding: a simulation of a server that bears so much at a time, and of principals that ask it."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections import Counter
from dataclasses import dataclass, field

import pytest

from app.errors import Overloaded
from app.upstream.resilience.bearable import FULL, LEAST, SHRINK, BearableSlots

from ....support.virtual_time import simulate

WORK_SECONDS, PAUSE_SECONDS = 0.5, 0.1


@dataclass
class Simulation:
    """A server that refuses what is more than it bears, behind slots that learn how much that is."""

    bears: int
    slots: BearableSlots
    dice: random.Random = field(default_factory=lambda: random.Random(5))
    busy: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    in_flight: list[int] = field(default_factory=list)
    waits: dict[str, list[float]] = field(default_factory=dict)

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def ask(self, who: str) -> None:
        begun = self.now
        try:
            await self.slots.take(who)
        except Overloaded as error:
            self.counts["shed"] += 1
            self.counts["shed without a time"] += not error.retry_after
            self.waits.setdefault(f"{who}, shed", []).append(self.now - begun)
            return
        try:
            self.waits.setdefault(who, []).append(self.now - begun)
            await self._serve(who)
        finally:
            self.slots.give_back(who)

    async def _serve(self, who: str) -> None:
        if self.busy >= self.bears:
            await asyncio.sleep(0.005)
            self.counts["refused"] += 1
            self.slots.refused()
            return
        self.busy += 1
        await asyncio.sleep(WORK_SECONDS * self.dice.uniform(0.5, 1.5))
        self.busy -= 1
        self.counts[who] += 1
        self.slots.answered()

    async def callers(self, who: str, count: int, until: float) -> None:
        async def one() -> None:
            while self.now < until:
                await self.ask(who)
                await asyncio.sleep(PAUSE_SECONDS)

        await asyncio.gather(*(one() for _ in range(count)))

    async def watch(self, since: float, until: float) -> None:
        await asyncio.sleep(max(0.0, since - self.now))
        self.counts.clear()
        while self.now < until:
            self.in_flight.append(self.slots.in_flight)
            await asyncio.sleep(0.05)


async def run(
    bears: int, *, seconds: float = 30.0, greedy: int = 40, hungry: int | None = None, changes: dict[float, int] | None = None
) -> Simulation:
    """Two greedy principals and a modest one; what is watched begins after a third of the time."""
    simulation = Simulation(bears, BearableSlots(1024, clock=asyncio.get_running_loop().time))

    async def change() -> None:
        for at, bears in (changes or {}).items():
            await asyncio.sleep(max(0.0, at - simulation.now))
            simulation.bears = bears

    await asyncio.gather(
        simulation.callers("greedy", greedy, seconds),
        simulation.callers("hungry", greedy if hungry is None else hungry, seconds),
        simulation.callers("modest", 2, seconds),
        simulation.watch(seconds / 3, seconds),
        change(),
    )
    return simulation


@pytest.mark.parametrize("bears", [12, 40])
def test_what_is_in_flight_settles_at_what_the_server_bears(bears: int) -> None:
    seen = simulate(run(bears))
    mean = statistics.mean(seen.in_flight)
    assert 0.7 * bears < mean < 1.3 * bears
    assert statistics.pstdev(seen.in_flight) < 0.25 * mean, "it does not oscillate"
    answered = seen.counts["greedy"] + seen.counts["hungry"] + seen.counts["modest"]
    assert seen.counts["refused"] < 0.15 * answered
    assert answered > 0.7 * bears * 20 / WORK_SECONDS, "and the server has enough to do"


@pytest.mark.parametrize("bears", [12, 40])
def test_one_principal_alone_keeps_the_server_as_busy_as_it_bears(bears: int) -> None:
    seen = simulate(run(bears, greedy=100, hungry=0))
    assert statistics.mean(seen.in_flight) > 0.85 * bears
    assert min(seen.in_flight) > 0.5 * bears, "a refusal takes little from it"
    assert seen.counts["refused"] < 0.1 * seen.counts["greedy"]


def test_nobody_starves_beside_the_greedy() -> None:
    seen = simulate(run(40))
    assert 0.7 < seen.counts["greedy"] / seen.counts["hungry"] < 1.4
    assert max(seen.waits["modest"]) < 5
    assert seen.counts["modest"] > 0.5 * 2 * 20 / (WORK_SECONDS + 0.02)


def test_it_follows_a_server_that_bears_less_and_then_more() -> None:
    fewer = simulate(run(60, changes={8.0: 20}))
    assert 14 < statistics.mean(fewer.in_flight) < 28
    more = simulate(run(20, changes={8.0: 60}))
    assert statistics.mean(more.in_flight[len(more.in_flight) // 2 :]) > 42


def test_a_healthy_server_is_never_bounded() -> None:
    seen = simulate(run(2000, seconds=5))
    assert (seen.slots.limit, seen.counts["refused"], seen.counts["shed"]) == (1024, 0, 0)


def test_who_would_wait_in_vain_is_refused_at_once() -> None:
    seen = simulate(run(12, greedy=120, seconds=12))
    assert seen.counts["shed"] > 0
    assert seen.counts["shed without a time"] == 0
    at_once = [seconds for seconds in seen.waits["greedy, shed"] if seconds == 0]
    assert len(at_once) > 0.95 * len(seen.waits["greedy, shed"])
    assert "modest, shed" not in seen.waits


async def asked(slots: BearableSlots, count: int) -> None:
    for _ in range(count):
        await slots.take("alice")


def test_a_refusal_of_few_in_flight_is_no_sign_of_load() -> None:
    async def work() -> None:
        slots = BearableSlots(1024)
        await asked(slots, LEAST)
        assert not slots.refused()
        assert slots.limit == 1024

    asyncio.run(work())


def test_a_burst_that_is_refused_leaves_what_the_server_has_taken() -> None:
    async def work() -> None:
        slots = BearableSlots(1024)
        await asked(slots, 100)
        for _ in range(80):
            slots.refused()
            slots.give_back("alice")
        assert slots.in_flight == 20
        assert slots.limit == pytest.approx(SHRINK * 21)

    asyncio.run(work())


@pytest.mark.parametrize("more", [0, 1])
def test_a_server_that_refuses_one_of_many_and_answers_others_is_full(more: int) -> None:
    async def work() -> None:
        slots = BearableSlots(1024)
        await asked(slots, FULL + more)
        assert not slots.answered(), "it may bear more"
        assert slots.refused() == (more > 0)
        assert not slots.refused(), "it may be out of order: it has answered nothing meanwhile"
        assert slots.answered() == (more > 0)
        assert slots.refused() == (more > 0)

    asyncio.run(work())


def test_after_an_outage_the_bound_doubles_until_it_is_what_it_was() -> None:
    async def work() -> None:
        slots = BearableSlots(1024)
        await asked(slots, 100)
        while slots.in_flight > LEAST:
            slots.refused()
            slots.give_back("alice")
        assert slots.limit == LEAST
        for most in (2 * LEAST, 4 * LEAST, 8 * LEAST):
            for _ in range(int(slots.limit)):
                while slots.take_now("alice", 1):
                    pass
                slots.answered()
            assert slots.limit == most
        for _ in range(200):
            slots.answered()
        assert SHRINK * 100 < slots.limit < SHRINK * 100 + 20, "and then grows by a tenth"

    asyncio.run(work())


def test_of_a_known_bound_one_principal_leaves_an_eighth_free() -> None:
    async def work() -> None:
        slots = BearableSlots(1024)
        await asked(slots, 100)
        slots.refused()
        for _ in range(100):
            slots.give_back("alice")
        while slots.take_now("alice", 1):
            pass
        assert (slots.size, slots.in_flight) == (80, 70)
        assert slots.take_now("bob", 1)

    asyncio.run(work())
