"""A model's server that fails altogether while questions keep coming: how often it is asked, and how soon callers hear of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from app.catalogue.rules import BreakerRules

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from .figures import Figures

MODES = ("status:503", "status:500", "close")
RATE = 50
"""Questions a second."""
MOST_CALLS, MOST_REFUSAL_SECONDS, MOST_RECOVERY_SECONDS = 1.2, 0.05, 5.0
WARM_QUESTIONS = 50
SKIPPED = "breaker_open"
RACES = 4


@dataclass(frozen=True)
class Answered:
    begun: float
    seconds: float
    status: int
    request_id: str


class Callers:
    """Ask at a steady rate, whether or not there are answers."""

    def __init__(self, service: Service, token: str) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=200)
        self._client = httpx.AsyncClient(
            base_url=service.url, timeout=60, limits=limits, headers={"Authorization": f"Bearer {token}"}
        )
        self.answered: list[Answered] = []

    async def ask(self) -> Answered:
        begun = time.monotonic()
        response = await self._client.post("/ask", json={"query": "hi"})
        one = Answered(begun, time.monotonic() - begun, response.status_code, response.headers["x-request-id"])
        self.answered.append(one)
        return one

    async def ask_for(self, seconds: float, rate: int = RATE) -> None:
        asking, begun = list[asyncio.Task[Answered]](), time.monotonic()
        for number in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            asking.append(asyncio.create_task(self.ask()))
        await asyncio.gather(*asking)

    async def aclose(self) -> None:
        await self._client.aclose()


def outage(folder: Path, *, mode: str, seconds: float, workers: int, is_timed: bool = True) -> Figures:
    """*is_timed*: whether a refusal or a recovery that takes too long is a broken promise."""
    begun = time.monotonic()
    with FakeOpenAI() as fake, Service(folder, workers=workers, OPENAI_BASE_URL=fake.base_url) as service:
        token = service.token("alice", service.add_client())
        recovered, answered = asyncio.run(_fail(service, token, fake, mode, seconds))
        assert service.stop() == 0
        report = service.verify()
        assert report["ok"]
        tries = _tries(service, {one.request_id for one in answered})
    figures = Figures(len(answered), report["entries"], time.monotonic() - begun)
    figures.remarks = _told(answered, tries, recovered, is_timed=is_timed)
    return figures


async def _fail(service: Service, token: str, fake: FakeOpenAI, mode: str, seconds: float) -> tuple[float, list[Answered]]:
    """Seconds until the first answer after it, and what was answered during the outage."""
    callers = Callers(service, token)
    try:
        await callers.ask_for(WARM_QUESTIONS / RATE)
        assert {one.status for one in callers.answered} == {200}
        callers.answered.clear()
        await asyncio.to_thread(fake.set, mode)
        await callers.ask_for(seconds)
        during = list(callers.answered)
        await asyncio.to_thread(fake.set, "ok")
        back = time.monotonic()
        while (await callers.ask()).status != 200:
            assert time.monotonic() - back < 60, "it does not recover"
            await asyncio.sleep(1 / RATE)
        recovered = time.monotonic() - back
        callers.answered.clear()
        await callers.ask_for(1)
        assert {one.status for one in callers.answered} == {200}, "it is back for all"
    finally:
        await callers.aclose()
    return recovered, during


def _tries(service: Service, asked: set[str]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Of each question that failed, in the order in which they ended: its id and tries."""
    ends = [record for record in service.records() if record["action"] == "ask.failed" and record["request_id"] in asked]
    return [(record["request_id"], record["details"]["tries"]) for record in ends]


def _told(
    answered: list[Answered], ended: list[tuple[str, list[dict[str, Any]]]], recovered: float, *, is_timed: bool
) -> list[str]:
    """Raises AssertionError where a promise was broken."""
    assert {one.status for one in answered} == {503}
    seconds = max(one.begun + one.seconds for one in answered) - min(one.begun for one in answered)
    sent = {request_id: sum(one["why"] != SKIPPED for one in tries) for request_id, tries in ended}
    first_skipped = min(one.begun for one in answered if not sent[one.request_id])
    asked = [one for one in answered if sent[one.request_id]]
    before = [one for one in asked if one.begun < first_skipped + BreakerRules().open_seconds / 2]
    questions = sum(one.begun <= max(other.begun for other in before) for one in answered)
    early = sum(sent[one.request_id] for one in before)
    calls, trials = early / questions, sum(sent.values()) - early
    waits = sorted(one.seconds for one in answered if not sent[one.request_id])
    slow = waits[len(waits) * 99 // 100]
    most_trials = int(seconds / BreakerRules().open_seconds) + 1
    races = 0 if is_timed else RACES  # on a busy machine several questions meet the same fault at once
    assert early <= MOST_CALLS * questions + races, f"{calls:.2f} calls a question until the breaker opened"
    assert trials <= most_trials, f"{trials} calls while it was open"
    if is_timed:
        assert slow < MOST_REFUSAL_SECONDS, f"99 of 100 refusals within {slow:.3f} s"
        assert recovered < MOST_RECOVERY_SECONDS, f"back after {recovered:.1f} s"
    return [
        f"{calls:.2f} calls a question for {questions} until it opened, then {trials} trials in {seconds:.0f} s",
        f"refused in {1000 * waits[len(waits) // 2]:.0f} ms (median), {1000 * slow:.0f} ms (99 of 100)",
        f"back after {recovered:.1f} s",
    ]
