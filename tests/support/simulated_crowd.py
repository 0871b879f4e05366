"""A server that refuses what is more than it bears, with 503, and a crowd of callers at two workers, simulated."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

from app.errors import AppError, UpstreamUnavailable
from app.upstream.attempts import Attempts
from app.upstream.call import PreparedCall
from app.upstream.resilience.bearable import BearableSlots
from app.upstream.resilience.breaker import Breaker
from app.upstream.resilience.loop import AttemptLoop
from app.upstream.resilience.road import Road
from app.upstream.resilience.seat import Seat

from .asking import prepared
from .roads import no_record
from .simulated_outage import Lab

WORKERS = 2
PAUSE_SECONDS = 0.5
"""Of each caller between two questions."""
REFUSAL_SECONDS = 0.005
LOOK_SECONDS = 0.05


class Crowd:
    """One principal floods, another asks little. To be used with `simulated_outage.virtual_clocks`."""

    def __init__(self, folder: Path, bears: int, work_seconds: float) -> None:
        self.bears, self._work_seconds = bears, work_seconds
        self.failing = 0.0
        """The part of all calls that the server refuses, full or not."""
        self.counts = Counter[str]()
        """Answers of each principal, and calls that were `sent` and `refused` by the server."""
        self.opened_at: float | None = None
        """When the breaker was first seen open."""
        self.is_open = False
        self._busy, self._dice, self._is_over = 0, random.Random(5), False
        self._labs = [Lab(Breaker("lab", file=folder / "breaker")) for _ in range(WORKERS)]
        self._loops = [AttemptLoop(dice=self._dice.random) for _ in self._labs]

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def run(self, flood: int, changes: dict[float, tuple[int, float]], seconds: float) -> None:
        """*flood*: callers of the one that floods. *changes*: what the server bears, and the part
        that fails, from each second on."""
        for lab in self._labs:
            lab.slots = BearableSlots(1024, clock=asyncio.get_running_loop().time)
        callers = [self._caller("flood", number % WORKERS) for number in range(flood)]
        callers += [self._caller("quiet", number) for number in range(WORKERS)]
        await asyncio.gather(*callers, self._look(), self._change(changes, seconds))
        for lab in self._labs:
            lab.breaker.close()

    async def _change(self, changes: dict[float, tuple[int, float]], seconds: float) -> None:
        for at, (bears, failing) in changes.items():
            await asyncio.sleep(at - self.now)
            self.bears, self.failing = bears, failing
        await asyncio.sleep(seconds - self.now)
        self._is_over = True

    async def _look(self) -> None:
        while not self._is_over:
            self.is_open = self._labs[0].breaker.is_open
            if self.is_open and self.opened_at is None:
                self.opened_at = self.now
            await asyncio.sleep(LOOK_SECONDS)

    async def _caller(self, who: str, worker: int) -> None:
        while not self._is_over:
            await asyncio.sleep(self._dice.random() * 2 * PAUSE_SECONDS)
            lab, until = self._labs[worker], self.now + 1_060
            try:
                with Seat(who) as seat:
                    await seat.take(lab.slots)
                    await self._loops[worker].answer(Road(prepared(lab), Attempts(), seat, no_record, until), self._serve)
            except AppError as error:
                self.counts[f"{who} {error.code}"] += 1
            else:
                self.counts[who] += 1

    async def _serve(self, call: PreparedCall, attempts: Attempts, is_fresh: bool) -> None:
        self.counts["sent"] += 1
        attempts.now.is_sent = True
        if self._busy >= self.bears or self._dice.random() < self.failing:
            await asyncio.sleep(REFUSAL_SECONDS)
            self.counts["refused"] += 1
            attempts.now.status = 503
            raise UpstreamUnavailable
        self._busy += 1
        await asyncio.sleep(self._work_seconds * self._dice.uniform(0.5, 1.5))
        self._busy -= 1
