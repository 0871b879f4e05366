"""What a worker shows of itself: its queues, its breakers, its files and memory, the budgets that many share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.catalogue.budgets import Budget
from app.catalogue.models import Catalogue
from app.limits.budgets.budgets import Budgets
from app.limits.budgets.errors import BudgetsUnavailable
from app.limits.budgets.store import PotState
from app.telemetry.metrics import sampling
from app.telemetry.metrics.board import Board, Meter
from app.telemetry.metrics.sampling import Sampler, look_at_budgets, sample_forever
from app.upstream.fair_slots import FairSlots
from app.upstream.resilience.breaker import Breaker, Outcome

from ....support.caps import CAPS


class Shown:
    def __init__(self) -> None:
        self.board = Board()
        self.meter = Meter(self.board.pages[0])

    def __getitem__(self, name: str) -> Mapping[tuple[str, ...], float]:
        return {one.labels: one.numbers[0] for one in self.board.read() if one.metric.name == name}


def server(slots: FairSlots, breaker: Breaker | None = None) -> Any:
    return SimpleNamespace(slots=slots, breaker=breaker or Breaker("lab"))


def test_queues_and_breakers_are_shown_by_server() -> None:
    async def work(shown: Shown) -> None:
        slots, breaker = FairSlots(2), Breaker("lab")
        await slots.take("alice")
        waiting = asyncio.ensure_future(slots.take("alice"))
        await asyncio.sleep(0)
        for _ in range(breaker.rules.failures):
            breaker.leave(breaker.enter(), Outcome.BAD)
        Sampler(shown.meter, "worker 1", lambda: {"lab": server(slots, breaker)}).look_at_servers()
        waiting.cancel()
        breaker.close()

    shown = Shown()
    asyncio.run(work(shown))
    found = [shown[f"upstream_{name}"]["lab",] for name in ("in_flight", "waiting", "slots")]
    assert found == [1, 1, 2]
    assert shown["breaker_open"] == {("lab",): 1}


def test_a_process_shows_its_files_its_memory_and_its_time() -> None:
    shown = Shown()
    sampler = Sampler(shown.meter, "worker 1", dict)
    sampler.look_at_process()
    before = shown["process_open_descriptors"]["worker 1",]
    reader, writer = os.pipe()
    sampler.look_at_process()
    os.close(reader)
    os.close(writer)
    assert shown["process_open_descriptors"]["worker 1",] == before + 2
    assert shown["process_resident_memory_bytes"]["worker 1",] > 1 << 20
    assert shown["process_cpu_seconds_total"]["worker 1",] > 0


class FakeBudgets:
    states: Any = ()
    asked: Any = None

    async def left_of(self, budgets: Any, zone: Any) -> Any:
        self.asked = budgets
        if self.states is None:
            raise BudgetsUnavailable(retry_after=1)
        return [(one, "2026-11", state, datetime.now(UTC)) for one, state in zip(budgets, self.states, strict=True)]


def policy() -> Catalogue:
    shared = Budget("all/day/money", "day", money=1000)
    mine = Budget("principal=alice/day/money", "day", principal="alice", money=1000)
    return Catalogue({}, CAPS, {}, frozenset(), budgets=(shared, mine))


def test_budgets_of_many_are_shown_and_those_of_principals_are_not() -> None:
    shown, budgets = Shown(), FakeBudgets()
    budgets.states = [PotState(spent=600, open=100, added=200)]
    asyncio.run(look_at_budgets(shown.meter, cast(Budgets, budgets), policy()))
    assert shown["budget_spent_ratio"] == {("all/day/money",): 0.5}
    assert shown["budget_reserved_ratio"] == {("all/day/money",): pytest.approx(1 / 12)}
    assert [one.id for one in budgets.asked] == ["all/day/money"]


def test_a_store_that_cannot_be_read_leaves_what_was_shown() -> None:
    shown, budgets = Shown(), FakeBudgets()
    shown.meter.set_family("budget_spent_ratio", {("all/day/money",): 0.5})
    budgets.states = None
    asyncio.run(look_at_budgets(shown.meter, cast(Budgets, budgets), policy()))
    assert shown["budget_spent_ratio"] == {("all/day/money",): 0.5}


def test_seconds_in_which_nothing_is_recorded_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, looks = Shown(), iter([False, True, True])
    clock = iter([0.0, 0.0, 1.0, 3.5])
    monkeypatch.setattr(sampling, "SAMPLE_SECONDS", 0)

    async def work() -> None:
        sampler = Sampler(shown.meter, "worker 1", dict)
        told: tuple[Any, ...] = (shown.meter, sampler, cast(Budgets, FakeBudgets()), policy, lambda: next(looks))
        with pytest.raises(RuntimeError):  # of the iterators, which are at their end
            await sample_forever(*told, first=False, clock=lambda: next(clock))

    asyncio.run(work())
    assert shown["audit_closed_seconds_total"] == {(): 3.5}
