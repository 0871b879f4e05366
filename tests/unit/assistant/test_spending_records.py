"""How a question's reservations end where one of its records fails, or is cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.assistant.exchange import Exchange
from app.errors import AuditUnavailable, UpstreamTimeout
from app.limits.budgets.reservations import Pot
from app.limits.budgets.store import PotState
from app.upstream.completion import Completion, Usage

from ...support.asking import ORIGIN_ID, PRINCIPAL, FakeLog, origin, prepared
from ...support.budget_process import BudgetProcess, run
from ...support.budgets import DAY, budget, claim

TOKENS = budget(tokens=400)
Ask = Callable[[Exchange], Awaitable[None]]


def use(folder: Path, log: FakeLog, ask: Ask, error: type[Exception]) -> tuple[PotState, list[str]]:
    """What the budget says after a question that ends with *error*, and what is to be looked for."""

    async def main() -> tuple[PotState, list[str]]:
        async with BudgetProcess(folder) as process:
            call = prepared(SimpleNamespace(name="lab"), claim=claim(TOKENS, price=None))

            async def question() -> None:
                async with Exchange(log.security, PRINCIPAL, call, origin(), budgets=process.budgets) as one:
                    await ask(one)

            with pytest.raises(error):
                await question()
            return (await process.pots())[Pot(TOKENS.id, DAY)], list(process.ledger.left)

    return run(main)


async def begin_second(one: Exchange) -> None:
    """A first attempt that may have generated, and the record of a second."""
    one.attempts.begin("lab", None).is_sent = True
    one.attempts.now.end("upstream_unavailable")
    one.spending.ended(one.call, is_free=False)
    second = replace(one.call, digests={"upstream_sha256": "6" * 64})
    held = await one.spending.may_try(second)
    assert held
    await one.attempted(second, held)


def test_an_attempt_whose_record_fails_costs_nothing_and_the_one_before_it_what_it_reserved(tmp_path: Path) -> None:
    log = FakeLog({"ask.attempted": [AuditUnavailable()]})
    assert use(tmp_path, log, begin_second, AuditUnavailable) == (PotState(150, 0, 0), [])
    assert [(one["by"], one["amount"]) for one in log.records[-1][1]["spent"]] == [("reservation", 150), ("nothing", 0)]


def test_a_deadline_while_an_attempt_is_recorded_is_not_forgotten(tmp_path: Path) -> None:
    log = FakeLog()

    async def ask(one: Exchange) -> None:
        log.written = asyncio.Event()
        asyncio.get_running_loop().call_later(0.1, log.written.set)
        async with asyncio.timeout(0.05):
            await begin_second(one)
            raise AssertionError("it is sent after the deadline")

    assert use(tmp_path, log, ask, UpstreamTimeout)[0] == PotState(150, 0, 0), "the second was not sent"
    assert log.actions == ["ask.received", "ask.attempted", "ask.failed"]


def test_an_end_that_can_never_be_a_record_is_looked_for(tmp_path: Path) -> None:
    async def ask(one: Exchange) -> None:
        await one.answered(Completion("fine", "small-1", Usage(20, 10), answer="fine"))

    assert use(tmp_path, FakeLog({"ask.answered": [ValueError()]}), ask, ValueError)[1] == [ORIGIN_ID]
