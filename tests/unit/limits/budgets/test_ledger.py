"""The store on its thread: nobody waits for a disk that hangs, and what is settled is never lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.limits.budgets.errors import BudgetsUnavailable
from app.limits.budgets.ledger import GATHER_SECONDS, BudgetLedger
from app.limits.budgets.reservations import Pot
from app.limits.budgets.sqlite_store import SqliteBudgetStore
from app.limits.budgets.store import Outcome, PotState, Settle, Step, StoreFailed, StoreReplaced, Take

from ....support.budgets import share

POT = share(0).pot
TAKE, SETTLE = Take("a", 0, (share(60),)), Settle("a", (share(60),), (10,))


class Troubled(SqliteBudgetStore):
    """A real store, which fails with *error* or waits for *gate* before it applies anything."""

    error: StoreFailed | None = None
    gate: threading.Event | None = None

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        if self.gate is not None:
            self.gate.wait(10)
        if self.error is not None:
            raise self.error
        return super().apply(steps)


def use(path: Path, work: Callable[[BudgetLedger, Troubled], Awaitable[Any]], timeout_seconds: float = 10) -> None:
    async def main() -> None:
        store = Troubled(path / "budgets.sqlite3")
        ledger = BudgetLedger(store, timeout_seconds)
        ledger.start()
        await ledger.do(lambda store: store.attach(1))
        ledger.is_ready = True
        try:
            await work(ledger, store)
        finally:
            store.gate = None
            await ledger.stop()

    asyncio.run(main())


async def pots(ledger: BudgetLedger) -> dict[Pot, PotState]:
    return await ledger.do(lambda store: store.pots())


def test_what_is_taken_is_settled(tmp_path: Path) -> None:
    async def work(ledger: BudgetLedger, store: Troubled) -> None:
        assert (await ledger.take(TAKE)).states == (PotState(0, 60, 0),)
        assert ledger.open == {"a": TAKE}
        assert (await ledger.take(Take("b", 0, (share(60),)))).lacking == (0,)
        outcome = await ledger.settle(SETTLE)
        assert outcome is not None
        assert outcome.states == (PotState(10, 0, 0),)
        assert ledger.open == {}

    use(tmp_path, work)


def test_nothing_is_reserved_before_a_recovery(tmp_path: Path) -> None:
    async def work(ledger: BudgetLedger, store: Troubled) -> None:
        ledger.is_ready = False
        with pytest.raises(BudgetsUnavailable):
            await ledger.take(TAKE)
        assert await pots(ledger) == {}

    use(tmp_path, work)


def test_a_question_whose_caller_is_gone_leaves_nothing_reserved(tmp_path: Path) -> None:
    async def work(ledger: BudgetLedger, store: Troubled) -> None:
        store.gate = threading.Event()
        asking = asyncio.create_task(ledger.take(TAKE))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        store.gate.set()
        assert await pots(ledger) == {POT: PotState(0, 0, 0)}
        assert ledger.open == {}

    use(tmp_path, work)


def test_a_store_that_hangs_refuses_questions_and_settles_later(tmp_path: Path) -> None:
    async def work(ledger: BudgetLedger, store: Troubled) -> None:
        await ledger.take(TAKE)
        store.gate = gate = threading.Event()
        assert await ledger.settle(SETTLE) is None
        with pytest.raises(BudgetsUnavailable):
            await ledger.take(Take("b", 0, (share(1),)))
        gate.set()
        while (await pots(ledger))[POT] != PotState(10, 0, 0):
            await asyncio.sleep(0.01)

    use(tmp_path, work, timeout_seconds=0.05)


def test_a_store_that_fails_is_told_of_once_and_gets_what_is_owed(tmp_path: Path) -> None:
    told: list[str | None] = []

    async def work(ledger: BudgetLedger, store: Troubled) -> None:
        ledger.on_trouble = told.append
        await ledger.take(TAKE)
        store.error = StoreFailed("the disk is full")
        assert await ledger.settle(SETTLE) is None
        with pytest.raises(BudgetsUnavailable):
            await ledger.take(Take("b", 0, (share(1),)))
        assert told == ["the disk is full"]
        store.error = None
        await ledger.take(Take("c", 0, (share(1),)))
        assert told == ["the disk is full", None]
        assert (await pots(ledger))[POT] == PotState(10, 1, 0)

    use(tmp_path, work)


def test_what_is_owed_is_tried_again_though_nobody_asks(tmp_path: Path) -> None:
    async def work(ledger: BudgetLedger, store: Troubled) -> None:
        await ledger.take(TAKE)
        store.error = StoreFailed("the disk is full")
        await ledger.settle(SETTLE)
        store.error = None
        beside = SqliteBudgetStore(store.path)
        beside.attach(2)
        while beside.pots()[POT] != PotState(10, 0, 0):
            await asyncio.sleep(0.02)
        beside.close()

    use(tmp_path, work)


def test_another_file_closes_the_ledger_until_it_is_attached(tmp_path: Path) -> None:
    async def work(ledger: BudgetLedger, store: Troubled) -> None:
        store.error = StoreReplaced("it was replaced")
        with pytest.raises(BudgetsUnavailable):
            await ledger.take(TAKE)
        assert not ledger.is_ready

    use(tmp_path, work)


def test_an_unexpected_failure_refuses_and_does_not_end_the_thread(tmp_path: Path) -> None:
    async def work(ledger: BudgetLedger, store: Troubled) -> None:
        with pytest.raises(BudgetsUnavailable):
            await ledger.take(Take("a", "no number", (share(1, "no number"),)))  # type: ignore[arg-type]  # meant so
        await ledger.take(TAKE)

    use(tmp_path, work)


def test_other_work_of_the_store_leaves_no_timers_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would hand in once more, for as long as there are questions."""

    async def work(ledger: BudgetLedger, store: Troubled) -> None:
        async def end_some(number: int) -> None:
            ledger.settle_later(Settle(f"{number}", (share(60),), (10,)))
            await asyncio.sleep(GATHER_SECONDS / 20)

        for number in range(20):
            await end_some(number)
            await pots(ledger)
        counted, original = count(), ledger._thread.hand_in
        monkeypatch.setattr(ledger._thread, "hand_in", lambda *what: (next(counted), original(*what)))
        begun = asyncio.get_running_loop().time()
        for number in range(100):
            await end_some(number)
        assert 1 <= next(counted) <= (asyncio.get_running_loop().time() - begun) / GATHER_SECONDS + 1

    use(tmp_path, work)
