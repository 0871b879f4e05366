"""What a question takes of the budgets, attempt by attempt, and what its records say of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from app.assistant.exchange import Exchange
from app.assistant.spending import QuestionSpending, spending_of, tokens_of
from app.catalogue.claims import Claim
from app.errors import AuditUnavailable, UpstreamTimeout
from app.limits.budgets.budgets import BudgetNote
from app.limits.budgets.errors import BudgetSpent
from app.limits.budgets.reservations import Pot, Tokens
from app.limits.budgets.store import PotState
from app.upstream.attempts import Attempts, Try
from app.upstream.completion import Completion, Usage

from ...support.asking import ORIGIN_ID, PRINCIPAL, FakeLog, origin, prepared
from ...support.budget_process import BudgetProcess, run
from ...support.budgets import DAY, REQUEST, budget, claim

TOKENS = budget(tokens=400)
POT = Pot(TOKENS.id, DAY)
CLAIM = claim(TOKENS, price=None)


def use(
    folder: Path, work: Callable[[QuestionSpending, BudgetProcess, BudgetNote], Awaitable[Any]], claimed: Claim | None = None
) -> None:
    async def main() -> None:
        async with BudgetProcess(folder) as process:
            note = BudgetNote()
            await work(QuestionSpending(claimed or CLAIM, process.budgets, "alice", REQUEST, note, Attempts()), process, note)

    run(main)


def call(claimed: Claim | None = CLAIM) -> Any:
    return prepared(claim=claimed)


def sent(spending: QuestionSpending, status: int | None = None) -> Try:
    """The next attempt: on its way, or answered with *status*."""
    one = spending._attempts.begin("lab", None)
    one.is_sent, one.status = True, status
    return one


def failed(spending: QuestionSpending, *, is_free: bool) -> None:
    """The next attempt came to nothing."""
    sent(spending, 503 if is_free else 500).end("upstream_unavailable")


async def state(process: BudgetProcess) -> PotState:
    return (await process.pots()).get(POT, PotState(0, 0, 0))


async def settled(spending: QuestionSpending) -> None:
    if (settling := spending.settle()) is not None:
        await settling


def test_a_question_spends_what_the_server_counted(tmp_path: Path) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        (reserved,) = await spending.begin()
        assert (reserved["amount"], note.left[0].left) == (150, 250)
        sent(spending, 200)
        (spent,) = spending.answered(Usage(20, 10))
        assert (spent["by"], spent["tokens"], spent["amount"]) == ("usage", {"input": 20, "output": 10}, 30)
        assert await state(process) == PotState(0, 150, 0), "not before its record"
        await settled(spending)
        assert (await state(process), note.left[0].left) == (PotState(30, 0, 0), 370)

    use(tmp_path, work)


@pytest.mark.parametrize(("usage", "why"), [(None, "no_usage"), (Usage(10**12, 1), "usage_not_plausible")])
def test_without_a_count_that_can_be_right_the_reservation_is_spent(tmp_path: Path, usage: Usage | None, why: str) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        await spending.begin()
        sent(spending, 200)
        (spent,) = spending.answered(usage)
        assert (spent["by"], spent["why"], spent["amount"]) == ("reservation", why, 150)
        await settled(spending)
        assert await state(process) == PotState(150, 0, 0)

    use(tmp_path, work)


@pytest.mark.parametrize(("is_free", "by", "amount"), [(True, "nothing", 0), (False, "reservation", 150)])
def test_a_failure_costs_the_reservation_unless_nothing_was_generated(
    tmp_path: Path, is_free: bool, by: str, amount: int
) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        await spending.begin()
        failed(spending, is_free=is_free)
        (spent,) = spending.failed()
        assert (spent["by"], spent["amount"]) == (by, amount)
        await settled(spending)
        assert (await state(process)).spent == amount

    use(tmp_path, work)


def test_an_attempt_that_may_be_billed_keeps_its_own_reservation(tmp_path: Path) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        await spending.begin()
        failed(spending, is_free=False)
        held = await spending.may_try(call())
        assert held is not None
        assert [one["attempt"] for one in held["reserved"]] == [2]
        assert (await state(process)).open == 300
        failed(spending, is_free=False)
        assert await spending.may_try(call()) is None, "three are more than the budget bears"
        spent = spending.failed()
        assert [(one.get("attempt", 1), one["amount"]) for one in spent] == [(1, 150), (2, 150)]
        await settled(spending)
        assert await state(process) == PotState(300, 0, 0)

    use(tmp_path, work)


def test_an_attempt_that_cost_nothing_leaves_its_reservation_to_the_next(tmp_path: Path) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        await spending.begin()
        failed(spending, is_free=True)
        assert await spending.may_try(call()) == {}
        sent(spending, 200)
        (spent,) = spending.answered(Usage(20, 10))
        assert "attempt" not in spent
        await settled(spending)
        assert await state(process) == PotState(30, 0, 0)

    use(tmp_path, work)


def test_another_model_is_reserved_for_by_its_own_claim(tmp_path: Path) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        await spending.begin()
        failed(spending, is_free=True)
        held = await spending.may_try(call(claim(TOKENS, tokens=(300, 90), price=None)))
        assert held is not None
        assert (held["reserved"][0]["amount"], (await state(process)).open) == (390, 390)
        sent(spending, 200)
        (spent,) = spending.answered(Usage(5, 5))
        assert spent["attempt"] == 2
        await settled(spending)
        assert await state(process) == PotState(10, 0, 0)

    use(tmp_path, work)


def test_a_model_to_which_no_budget_applies_spends_nothing(tmp_path: Path) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        await spending.begin()
        failed(spending, is_free=False)
        assert await spending.may_try(call(None)) == {}
        sent(spending, 200)
        (spent,) = spending.answered(Usage(5, 5))
        assert (spent["by"], spent["amount"]) == ("reservation", 150), "that of the first attempt"
        await settled(spending)

    use(tmp_path, work)


@pytest.mark.parametrize(
    ("is_sent", "is_second", "spent"),
    [
        (True, True, [("reservation", 150), ("usage", 30)]),
        (False, True, [("nothing", 0), ("usage", 30)]),
        (True, False, [("usage", 30), ("reservation", 150)]),
    ],
)
def test_the_other_of_two_calls_is_paid_for_if_it_was_sent(
    tmp_path: Path, is_sent: bool, is_second: bool, spent: list[tuple[str, int]]
) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        await spending.begin()
        first = spending._attempts.begin("lab", None)
        first.is_sent = is_sent
        held = await spending.may_try(call())
        assert held is not None
        assert (held["reserved"][0]["attempt"], (await state(process)).open) == (2, 300), "the first one goes on"
        beside = spending._attempts.beside()
        beside.begin("spare", None).is_sent = True
        spending._attempts.now = beside.now if is_second else first
        (first if is_second else beside.now).end("hedged_away")
        assert [(one["by"], one["amount"]) for one in spending.answered(Usage(20, 10))] == spent
        await settled(spending)
        assert await state(process) == PotState(sum(amount for _, amount in spent), 0, 0)

    use(tmp_path, work)


def test_what_was_reserved_for_a_second_server_that_nobody_asked_is_free(tmp_path: Path) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        await spending.begin()
        sent(spending)
        assert await spending.may_try(call())
        assert [(one["by"], one["amount"]) for one in spending.answered(Usage(20, 10))] == [("usage", 30), ("nothing", 0)]

    use(tmp_path, work)


def test_a_budget_of_a_fallback_alone_holds_it_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with BudgetProcess(tmp_path) as process:
            asked = prepared(fallbacks=(call,))
            assert spending_of(asked, None, PRINCIPAL, origin(), Attempts()) is None
            spending = spending_of(asked, process.budgets, PRINCIPAL, origin(), Attempts())
            assert spending is not None
            assert (await spending.begin(), spending.has_reserved) == ([], False)
            failed(spending, is_free=True)
            held = await spending.may_try(call())
            assert held is not None
            assert (held["reserved"][0]["amount"], (await state(process)).open) == (150, 150)
            sent(spending, 200)
            (spent,) = spending.answered(Usage(20, 10))
            assert (spent["amount"], spending.has_reserved) == (30, True)
            await settled(spending)
            assert await state(process) == PotState(30, 0, 0)

    run(main)


def test_what_does_not_fit_raises_and_reserves_nothing(tmp_path: Path) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        with pytest.raises(BudgetSpent):
            await spending.begin()
        assert await state(process) == PotState(0, 0, 0)

    use(tmp_path, work, claim(TOKENS, tokens=(400, 1), price=None))


def test_a_record_of_which_nobody_knows_is_looked_up_later(tmp_path: Path) -> None:
    async def work(spending: QuestionSpending, process: BudgetProcess, note: BudgetNote) -> None:
        await spending.begin()
        await spending.give_up(is_recorded=True)
        assert process.ledger.left == {REQUEST: False}
        await process.budgets.look(keeps_books=False)
        assert await state(process) == PotState(0, 0, 0)

    use(tmp_path, work)


def test_all_that_is_billed_counts_also_what_is_told_beside_the_two_counts() -> None:
    assert tokens_of(Usage(10, 5, (90, 7), 60, 30, 7)) == Tokens(100, 12, 60, 30, 7)


async def fail(
    folder: Path, log: FakeLog, ask: Callable[[Exchange], Awaitable[None]], error: type[Exception]
) -> tuple[PotState, list[str]]:
    """What the budget says after a question that ends with *error*, and what is to be looked for."""
    asked = prepared(SimpleNamespace(name="lab"), claim=CLAIM)
    async with BudgetProcess(folder) as process:

        async def question() -> None:
            async with Exchange(log.security, PRINCIPAL, asked, origin(), budgets=process.budgets) as one:
                await ask(one)

        with pytest.raises(error):
            await question()
        return await state(process), list(process.ledger.left)


async def begin_second(one: Exchange) -> None:
    """A first attempt that may have generated, and the record of a second."""
    one.attempts.begin("lab", None).is_sent = True
    one.attempts.now.end("upstream_unavailable")
    second = replace(one.call, digests={"upstream_sha256": "6" * 64})
    held = await one.spending.may_try(second)
    assert held
    await one.attempted(second, held)


def test_an_attempt_whose_record_fails_costs_nothing(tmp_path: Path) -> None:
    log = FakeLog({"ask.attempted": [AuditUnavailable()]})
    assert run(lambda: fail(tmp_path, log, begin_second, AuditUnavailable)) == (PotState(150, 0, 0), [])
    assert [(one["by"], one["amount"]) for one in log.records[-1][1]["spent"]] == [("reservation", 150), ("nothing", 0)]


class WrittenTooLate(asyncio.Event):
    """The *deadline* of a question passes while its record is written."""

    def __init__(self, deadline: asyncio.Timeout) -> None:
        super().__init__()
        self._deadline = deadline

    async def wait(self) -> Literal[True]:
        if not self.is_set():
            loop = asyncio.get_running_loop()
            self._deadline.reschedule(loop.time())
            loop.call_later(0.05, self.set)
        return await super().wait()


def test_a_deadline_while_an_attempt_is_recorded_is_not_forgotten(tmp_path: Path) -> None:
    log = FakeLog()

    async def ask(one: Exchange) -> None:
        async with asyncio.timeout(None) as deadline:
            log.written = WrittenTooLate(deadline)
            await begin_second(one)
            raise AssertionError("it is sent after the deadline")

    assert run(lambda: fail(tmp_path, log, ask, UpstreamTimeout))[0] == PotState(150, 0, 0), "the second was not sent"
    assert log.actions == ["ask.received", "ask.attempted", "ask.failed"]


def test_an_end_that_can_never_be_a_record_is_looked_for(tmp_path: Path) -> None:
    async def ask(one: Exchange) -> None:
        await one.answered(Completion("fine", "small-1", Usage(20, 10), answer="fine"))

    log = FakeLog({"ask.answered": [ValueError()]})
    assert run(lambda: fail(tmp_path, log, ask, ValueError))[1] == [ORIGIN_ID]
