"""A server that fails while questions keep coming to several workers, simulated."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from app.catalogue.rules import BreakerRules, RetryRules
from app.errors import UpstreamError, UpstreamUnavailable
from app.upstream.attempts import Attempts
from app.upstream.call import PreparedCall
from app.upstream.fair_slots import FairSlots
from app.upstream.resilience import breaker as breaker_module
from app.upstream.resilience import hedge as hedge_module
from app.upstream.resilience import loop as loop_module
from app.upstream.resilience import road as road_module
from app.upstream.resilience.breaker import Breaker, Entry, Outcome
from app.upstream.resilience.loop import AttemptLoop
from app.upstream.resilience.retry_pot import RetryPot
from app.upstream.resilience.road import Road
from app.upstream.resilience.seat import Seat

from .asking import prepared
from .roads import no_record


class Lab:
    """A server as one worker knows it."""

    retries_idle_close = True
    name = "lab"

    def __init__(self, breaker: Breaker) -> None:
        self.breaker, self.slots = breaker, FairSlots(100_000)


class Outage:
    """Several workers after quiet hours. Each call of a question fails, at once or after a while."""

    def __init__(self, folder: Path, seed: int, failures: int = 5) -> None:
        self.dice = dice = random.Random(seed)
        self.calls, self.late = Counter[int](), 0
        self.slow = dice.choice([0.0, 0.02, 0.3])
        self.retries = RetryRules(most=dice.choice([1, 2, 9]), share=dice.choice([0.2, 1.0]))
        rules = BreakerRules(failures=failures, open_seconds=1_000)
        self.labs = [Lab(Breaker("lab", rules, folder / f"{seed}")) for _ in range(dice.choice([1, 2, 4]))]
        self.loops = [AttemptLoop(_full_pot(), dice.random) for _ in self.labs]

    async def ask(self, number: int) -> None:
        worker, attempts = self.dice.randrange(len(self.labs)), Attempts()

        async def fail(call: PreparedCall, attempts: Attempts, is_fresh: bool) -> None:
            self.calls[number] += 1
            attempts.now.is_sent = self.dice.random() < 0.8
            await asyncio.sleep(self.dice.random() * self.slow)
            attempts.now.status = 503 if attempts.now.is_sent else None
            raise UpstreamUnavailable

        call, until = prepared(self.labs[worker], retries=self.retries), asyncio.get_running_loop().time() + 1_060
        with pytest.raises(UpstreamError):
            await self.loops[worker].answer(Road(call, attempts, Seat(f"caller{number % 10}"), no_record, until), fail)

    async def run(self, rate: float, burst: int, *, late: int = 0) -> None:
        """Questions come at *rate* a second, *burst* at one time, until the breaker is open.

        *late* calls of before are answered in between.
        """
        asking, breaker = list[asyncio.Task[None]](), self.labs[0].breaker
        while not breaker.is_open:
            for _ in range(burst):
                asking.append(asyncio.create_task(self.ask(len(asking))))
            await asyncio.sleep(self.dice.expovariate(rate / burst))
            if self.late < late and not breaker.is_open:
                breaker.leave(Entry.PASSED, Outcome.GOOD)
                self.late += 1
        await asyncio.gather(*asking)
        for lab in self.labs:
            lab.breaker.close()


def _full_pot() -> RetryPot:
    pot = RetryPot()
    for number in range(200):
        pot.add(f"caller{number % 10}", 0.2)
    return pot


def virtual_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop of attempts and the breaker have the time of the simulation."""

    def seconds() -> float:
        return asyncio.get_running_loop().time() + 1_000

    for module in (hedge_module, loop_module, road_module):
        monkeypatch.setattr(module, "monotonic", seconds)
    monkeypatch.setattr(breaker_module, "monotonic_ns", lambda: int(seconds() * 1e9))
