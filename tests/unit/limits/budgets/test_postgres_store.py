"""The store on PostgreSQL over its server's crashes, and a standby that takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.kit.postgres_url import PostgresUrl
from app.limits.budgets.errors import BudgetsUnavailable
from app.limits.budgets.reservations import Pot, Tokens
from app.limits.budgets.store import PotState

from ....support.budget_process import BudgetProcess, run
from ....support.budgets import DAY, budget, claim, spent_members
from ....support.postgres_clients import new_url
from ....support.postgres_server import PostgresServer

pytestmark = pytest.mark.slow
ONE, TWO = "a" * 32, "b" * 32
TOKENS = budget(tokens=10_000)
POT = Pot(TOKENS.id, DAY)
USED = Tokens(20, 10)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


def test_a_crash_of_the_server_loses_nothing_and_refuses_meanwhile(tmp_path: Path, server: PostgresServer) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path, new_url(server)) as process:
            mine, seq = await process.ask(ONE, TOKENS)
            await asyncio.to_thread(server.crash)
            with pytest.raises(BudgetsUnavailable):
                await process.budgets.reserve(TWO, claim(TOKENS, price=None), "alice")
            await process.record("ask.answered", ONE, received=seq, spent=spent_members(mine, "usage", USED))
            await process.budgets.settle(mine, mine.spent("usage", USED))
            await asyncio.to_thread(server.start)
            await process.recovery.look(keeps_books=False)
            assert process.ledger.is_ready
            await process.ask(TWO, TOKENS)
            assert await process.pots() == {POT: PotState(30, 150, 0)}
            assert process.actions().count("budget.settled") == 0

    run(work)


def test_a_standby_that_lacks_the_last_changes_is_computed_from_the_log(tmp_path: Path, server: PostgresServer) -> None:
    async def work() -> None:
        url = new_url(server)
        with server.standby(is_synchronous=False) as standby:
            both = PostgresUrl(
                url.text.replace(f"127.0.0.1:{server.port}", f"127.0.0.1:{server.port},127.0.0.1:{standby.port}")
                + "?target_session_attrs=read-write",
                "BUDGETS_URL",
            )
            async with BudgetProcess(tmp_path, both) as process:
                await asyncio.to_thread(standby.query, "SELECT pg_wal_replay_pause()")
                mine, seq = await process.ask(ONE, TOKENS)
                await process.record("ask.answered", ONE, received=seq, spent=spent_members(mine, "usage", USED))
                await process.budgets.settle(mine, mine.spent("usage", USED))
                await process.ask(TWO, TOKENS)
                await asyncio.to_thread(server.crash)
                await asyncio.to_thread(standby.promote)
                process.ledger.is_ready = False
                await process.recovery.look(keeps_books=False)
                assert await process.pots() == {POT: PotState(30, 150, 0)}

    run(work)
