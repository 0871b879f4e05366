"""What a refusal says: for which budget, why, and when to come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from app.catalogue.prices import BILLION
from app.limits.budgets.budgets import Budgets
from app.limits.budgets.errors import BudgetSpent, BudgetsUnavailable
from app.limits.budgets.ledger import BudgetLedger
from app.limits.budgets.recovery import BudgetRecovery
from app.limits.budgets.reservations import Share, Tokens
from app.limits.budgets.sqlite_store import SqliteBudgetStore
from app.limits.budgets.store import PotState, StoreFailed

from ....support.budgets import NOON, budget, claim

DAILY, MONTHLY = budget(tokens=200), budget(None, tokens=200, per="month")
UNTIL_MIDNIGHT = 12 * 3600


class NoRecovery:
    """Stands for one that has nothing to do, or fails with *error*."""

    after = 0
    error: Exception | None = None

    async def look(self, *, keeps_books: bool) -> None:
        if self.error is not None:
            raise self.error


def use(path: Path, work: Callable[[Budgets], Awaitable[Any]], **more: Any) -> None:
    async def main() -> None:
        ledger = BudgetLedger(SqliteBudgetStore(path / "budgets.sqlite3"))
        ledger.start()
        await ledger.do(lambda store: store.attach(1))
        ledger.is_ready = True
        try:
            await work(Budgets(ledger, cast(BudgetRecovery, NoRecovery()), **{"now": lambda: NOON, **more}))
        finally:
            await ledger.stop()

    asyncio.run(main())


async def refusal(budgets: Budgets, *needed: Any) -> BudgetSpent:
    with pytest.raises(BudgetSpent) as raised:
        await budgets.reserve("z", claim(*needed, price=None), "alice")
    return raised.value


def test_a_budget_that_is_spent_says_when_it_begins_anew(tmp_path: Path) -> None:
    async def work(budgets: Budgets) -> None:
        reserved = await budgets.reserve("a", claim(DAILY, price=None), "alice")
        reservation = reserved.reservation
        assert [one.left for one in reserved.left()] == [50]
        assert [one.left for one in reserved.left([100])] == [100]
        assert [one.left for one in await budgets.settle(reservation, [180])] == [20]
        error = await refusal(budgets, DAILY)
        assert error.retry_after == UNTIL_MIDNIGHT
        assert error.detail == "The budget principal=alice/day/tokens is spent. It starts again at 2026-11-27T00:00:00Z."

    use(tmp_path, work)


def test_what_questions_in_progress_have_reserved_is_worth_a_short_wait(tmp_path: Path) -> None:
    async def work(budgets: Budgets) -> None:
        await budgets.reserve("a", claim(DAILY, price=None), "alice")
        error = await refusal(budgets, DAILY)
        assert error.retry_after == 1.0
        assert "questions in progress" in error.detail

    use(tmp_path, work)


def test_a_question_that_no_whole_budget_bears_is_not_told_to_wait(tmp_path: Path) -> None:
    async def work(budgets: Budgets) -> None:
        error = await refusal(budgets, budget(tokens=149))
        assert error.retry_after is None
        assert "more than the whole budget" in error.detail

    use(tmp_path, work)


def test_of_several_the_one_that_lasts_longest_is_named(tmp_path: Path) -> None:
    async def work(budgets: Budgets) -> None:
        reservation, *_ = await budgets.reserve("a", claim(DAILY, MONTHLY, price=None), "alice")
        await budgets.settle(reservation, [150, 150])
        assert (await refusal(budgets, DAILY, MONTHLY)).budget_id == "all/month/tokens"

    use(tmp_path, work)


def test_an_alarm_comes_once(tmp_path: Path) -> None:
    alarms: list[tuple[str, int]] = []

    def on_alarm(share: Share, state: PotState) -> None:
        alarms.append((share.pot.budget, state.spent))

    async def work(budgets: Budgets) -> None:
        for key, spent in (("a", 150), ("b", 10), ("c", 10)):
            reservation, *_ = await budgets.reserve(key, claim(DAILY, tokens=(10, 10), price=None), "alice")
            await budgets.settle(reservation, [spent])

    use(tmp_path, work, on_alarm=on_alarm)
    assert alarms == [(DAILY.id, 160)]


def test_a_server_that_uses_more_than_was_reserved_is_paid_in_full(tmp_path: Path) -> None:
    money = budget(money=BILLION)

    async def work(budgets: Budgets) -> None:
        reservation, *_ = await budgets.reserve("a", claim(money), "alice")
        spent = reservation.spent("usage", Tokens(10**6, 10**6))
        assert [one.left for one in await budgets.settle(reservation, spent)] == [0]
        assert spent == [3 * BILLION]

    use(tmp_path, work)


def test_the_state_of_ones_own_budgets_can_be_asked_for(tmp_path: Path) -> None:
    async def work(budgets: Budgets) -> None:
        await budgets.reserve("a", claim(DAILY, price=None), "alice")
        ((one, period, state, _),) = await budgets.left_of([DAILY], NOON.tzinfo)  # type: ignore[arg-type]  # it has one
        assert (one, period, state) == (DAILY, "2026-11-26", PotState(0, 150, 0))
        assert await budgets.left_of([], NOON.tzinfo) == []  # type: ignore[arg-type]  # as above
        budgets.ledger.is_ready = False
        with pytest.raises(BudgetsUnavailable):
            await budgets.left_of([DAILY], NOON.tzinfo)  # type: ignore[arg-type]  # as above

    use(tmp_path, work)


@pytest.mark.parametrize("error", [StoreFailed("no room"), KeyError("no room")])
def test_a_look_that_fails_is_told_of_and_raises_nothing(tmp_path: Path, error: Exception) -> None:
    told: list[str | None] = []

    async def work(budgets: Budgets) -> None:
        budgets.ledger.on_trouble = told.append
        budgets.recovery.error = error  # type: ignore[attr-defined]  # of NoRecovery
        await budgets.look(keeps_books=False)

    use(tmp_path, work)
    assert told == [
        "no room" if isinstance(error, StoreFailed) else "looking after them failed unexpectedly: see the service's own output"
    ]


@pytest.mark.parametrize(("per", "before", "after"), [("day", "2026-11-30", "2026-12-01"), ("month", "2026-11", "2026-12")])
def test_spend_belongs_to_the_period_in_which_it_was_reserved(tmp_path: Path, per: str, before: str, after: str) -> None:
    """Over midnight and the end of the month, and back again where the clock is set back."""
    one, moments = budget(tokens=200, per=per), {"now": datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)}

    async def work(budgets: Budgets) -> None:
        reservation, *_ = await budgets.reserve("a", claim(one, price=None), "alice")
        moments["now"] = datetime(2026, 12, 1, 0, 0, 1, tzinfo=UTC)
        other, *_ = await budgets.reserve("b", claim(one, price=None), "alice")
        await budgets.settle(reservation, [140])
        await budgets.settle(other, [20])
        pots = await budgets.ledger.do(lambda store: store.pots())
        assert {pot.period: state.spent for pot, state in pots.items()} == {before: 140, after: 20}
        moments["now"] = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
        assert (await refusal(budgets, one)).retry_after == 1.0, "what was spent before the clock was set still counts"
        moments["now"] = datetime(2026, 12, 1, tzinfo=UTC)
        await budgets.reserve("c", claim(one, price=None), "alice")

    use(tmp_path, work, now=lambda: moments["now"])
