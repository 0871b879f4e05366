"""A model's server that bears so many calls at one time and refuses the others, while one of three principals floods."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from .counts import SUMMED
from .figures import Figures
from .honest import centile
from .load import Load, Outcome

STATUSES = (429, 503)
"""With which a server says that it has too many."""
BEARS, MORE = 40, 100
"""Calls at one time: first, and then."""
WORK_SECONDS = 1.0
"""What the server takes for each."""
SETTLE_SECONDS = 8
FLOOD, QUIET = "flood", ("quiet", "modest")
FLOODERS = 260
"""More than two workers let wait, and the server bears, of one principal."""
QUIET_CLIENTS, QUIET_REST, FLOOD_PAUSE = 2, 0.5, 1.0
LOOK_SECONDS = 0.1
LEAST_IN_FLIGHT, LEAST_ANSWERED = 0.5, 0.8
"""Of what the server bears, and of what the quiet ask: worse is a broken promise."""


@dataclass
class Watched:
    """What was seen while the server bore *bears* calls."""

    bears: int
    seconds: float = 0.0
    in_flight: list[int] = field(default_factory=list)
    served: int = 0
    too_many: int = 0
    """Calls that the server refused."""
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        return statistics.mean(self.in_flight)

    def answered(self, who: str) -> float:
        """Their share."""
        outcomes = self.outcomes[who]
        return sum(one.status == 200 for one in outcomes) / len(outcomes)

    def verify(self) -> None:
        assert LEAST_IN_FLIGHT * self.bears < self.mean <= self.bears, self.told()
        assert self.served > self.too_many, self.told()
        assert all(self.answered(who) >= LEAST_ANSWERED for who in QUIET), self.told()

    def told(self) -> str:
        spread, least = statistics.pstdev(self.in_flight), min(self.in_flight)
        goodput = self.served * WORK_SECONDS / (self.seconds * self.bears)
        refused = [one.seconds for one in self.outcomes[FLOOD] if one.code == "overloaded"]
        quiet = ", ".join(f"{who} {self.answered(who):.0%} of {len(self.outcomes[who])}" for who in QUIET)
        return (
            f"bears {self.bears}: {self.mean:.0f} in flight (spread {spread:.0f}, least {least}), {goodput:.0%} of what it can,"
            f" {self.too_many} of {self.too_many + self.served} calls refused by it; answered: {quiet}; {len(refused)}"
            f" of the flood refused in {1000 * centile(refused, 50):.0f} ms (median),"
            f" {1000 * centile(refused, 99):.0f} ms (99 of 100)"
        )


def overload(folder: Path, *, status: int, seconds: float, workers: int = 2) -> Figures:
    """*status*: what the server answers to calls beyond what it bears."""
    begun = time.monotonic()
    with FakeOpenAI() as fake, Service(folder, workers=workers, OPENAI_BASE_URL=fake.base_url) as service:
        tokens = {who: service.token(who, service.add_client(who)) for who in (FLOOD, *QUIET)}
        phases, outcomes = asyncio.run(_flood(service, fake, tokens, status, seconds))
        assert service.stop() == 0
        report = service.verify()
        assert report["ok"]
        refused = verify_refusals(outcomes, service.records())
    for phase in phases:
        phase.verify()
    answers = sum(one.status == 200 for one in outcomes)
    remarks = [f"{refused} refusals, all in the log", *(phase.told() for phase in phases)]
    return Figures(answers, report["entries"], time.monotonic() - begun, remarks=remarks)


def verify_refusals(outcomes: Iterable[Outcome], records: Iterable[Mapping[str, Any]]) -> int:
    """How many there were. Raises AssertionError unless each says when to come back, and is in the log."""
    refused = [one for one in outcomes if one.status != 200]
    assert {one.status for one in refused} == {503}
    assert all(one.retry_after for one in refused)
    assert Counter(one.code for one in refused) == Counter(_recorded({one.request_id for one in refused}, records))
    return len(refused)


def _recorded(ids: set[str], records: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The code of each refusal in the log. *ids*: of the requests that were refused."""
    for record in records:
        details = record["details"]
        if record["action"] == SUMMED:
            yield from Counter(details["codes"]).elements()
        elif record["action"] == "ask.refused" or (record["action"] == "ask.failed" and record["request_id"] in ids):
            yield details["code"]


async def _flood(
    service: Service, fake: FakeOpenAI, tokens: Mapping[str, str], status: int, seconds: float
) -> tuple[list[Watched], list[Outcome]]:
    """What was seen after the flood had settled, and what all were answered."""

    async def bear(bears: int) -> None:
        await asyncio.to_thread(fake.set, delay=WORK_SECONDS, bears=bears, over=status)

    phases, port = list[Watched](), service.port
    await bear(BEARS)
    async with AsyncExitStack() as opened:
        loads = {who: await opened.enter_async_context(Load(port, tokens[who], QUIET_CLIENTS, rest=QUIET_REST)) for who in QUIET}
        loads[FLOOD] = await opened.enter_async_context(Load(port, tokens[FLOOD], FLOODERS, pause=FLOOD_PAUSE))
        for bears in (BEARS, MORE):
            await bear(bears)
            await asyncio.sleep(SETTLE_SECONDS)
            phases.append(await _watch(loads, fake, bears, seconds))
    return phases, [one for load in loads.values() for one in load.outcomes]


async def _watch(loads: Mapping[str, Load], fake: FakeOpenAI, bears: int, seconds: float) -> Watched:
    seen, begun = Watched(bears), time.monotonic()
    before, counts = {who: len(load.outcomes) for who, load in loads.items()}, await asyncio.to_thread(fake.counts)
    while time.monotonic() < begun + seconds:
        await asyncio.sleep(LOOK_SECONDS)
        seen.in_flight.append(await asyncio.to_thread(fake.calls, "open"))
    now = await asyncio.to_thread(fake.counts)
    seen.seconds, seen.too_many = time.monotonic() - begun, now["too_many"] - counts["too_many"]
    seen.served = now["calls"] - counts["calls"] - seen.too_many
    seen.outcomes = {who: load.outcomes[before[who] :] for who, load in loads.items()}
    return seen
