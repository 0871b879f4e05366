"""Who lives over machines: a lost connection is no death, and who was taken for dead learns of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.kit.postgres_url import PostgresUrl
from app.limits.budgets import postgres_session
from app.limits.budgets.postgres_session import BudgetSession, PostgresOwners
from app.limits.budgets.recovery import NOT_RECEIVED, WORKER_DIED
from app.limits.budgets.reservations import Pot, Tokens
from app.limits.budgets.store import PotState, StoreFailed, StoreReplaced

from ....support.budget_process import BudgetProcess, run
from ....support.budgets import DAY, budget, spent_members
from ....support.postgres_clients import new_url
from ....support.postgres_server import PostgresServer
from ....support.waiting import eventually

pytestmark = pytest.mark.slow
ONE, TWO = "a" * 32, "b" * 32
TOKENS = budget(tokens=10_000)
POT = Pot(TOKENS.id, DAY)
USED = Tokens(20, 10)


@pytest.fixture
def url(postgres: PostgresServer) -> PostgresUrl:
    return new_url(postgres)


def cut(server: PostgresServer, process: BudgetProcess) -> None:
    """Its session ends, as with its network."""
    holders = "FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
    server.query(f"SELECT pg_terminate_backend(pid) {holders}", process.owners.own)
    eventually(lambda: server.query(f"SELECT count(*) {holders}", process.owners.own) == [(0,)])


async def again(process: BudgetProcess) -> None:
    """As it happens once a second."""
    with pytest.raises(StoreReplaced):
        await process.ledger.do(lambda store: store.pots())
    process.ledger.is_ready = False
    await process.recovery.look(keeps_books=False)


async def agreed(process: BudgetProcess) -> PotState:
    """What the store holds, once it is sure that the log says the same."""
    books, state = process.books(), (await process.pots())[POT]
    assert (books.spent[POT], books.reserved()[POT], books.added[POT]) == (state.spent, state.open, state.added)
    assert books.problems == []
    return state


def test_who_loses_the_connection_keeps_what_it_has_reserved(tmp_path: Path, url: PostgresUrl, postgres: PostgresServer) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path, url) as one, BudgetProcess(tmp_path, url) as other:
            mine, seq = await one.ask(ONE, TOKENS)
            own = one.owners.own
            await asyncio.to_thread(cut, postgres, one)
            await other.recovery.sweep()
            await again(one)
            assert one.owners.own == own
            assert await agreed(other) == PotState(0, 150, 0), "nobody took it for dead"
            await one.record("ask.answered", ONE, received=seq, spent=spent_members(mine, "usage", USED))
            await one.budgets.settle(mine, mine.spent("usage", USED))
            assert await agreed(other) == PotState(30, 0, 0)

    run(work)


def test_who_does_not_come_back_is_settled_by_the_others(
    tmp_path: Path, url: PostgresUrl, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path, url) as living:
            async with BudgetProcess(tmp_path, url) as dying:
                await dying.ask(ONE, TOKENS)
            await living.recovery.look(keeps_books=False)
            assert await agreed(living) == PotState(0, 150, 0), "it may come back"
            monkeypatch.setattr(postgres_session, "GRACE_SECONDS", 0.0)
            monkeypatch.setattr(postgres_session, "LOOK_SECONDS", 0.0)
            living.owners._next_look = 0.0  # type: ignore[attr-defined]  # as after ten seconds
            while (await agreed(living)).open:  # until the server has seen its session end
                await living.recovery.look(keeps_books=False)
            assert await agreed(living) == PotState(150, 0, 0)
            assert living.actions().count("budget.settled") == 1
            assert whys(living)[-1] == WORKER_DIED

    run(work)


def test_who_was_taken_for_dead_and_lives_learns_of_it(
    tmp_path: Path, url: PostgresUrl, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen between its reservation and the record of its question: the others released it."""

    async def work() -> None:
        async with BudgetProcess(tmp_path, url) as frozen, BudgetProcess(tmp_path, url) as other:
            mine, _ = await frozen.ask(ONE, TOKENS)
            reservation = (await frozen.budgets.reserve(TWO, mine.claim, "alice")).reservation
            await asyncio.to_thread(cut, postgres, frozen)
            monkeypatch.setattr(postgres_session, "GRACE_SECONDS", 0.0)
            await other.recovery.sweep()
            assert (await other.pots())[POT] == PotState(150, 0, 0)
            assert {NOT_RECEIVED} <= {str(one) for one in whys(other)}
            seq = await frozen.record("ask.received", TWO, reserved=reservation.members())  # it wakes, and goes on
            await frozen.record("ask.answered", TWO, received=seq, spent=spent_members(reservation, "usage", USED))
            await frozen.budgets.settle(reservation, reservation.spent("usage", USED))
            frozen.ledger.is_ready = False
            await frozen.recovery.look(keeps_books=False)
            with pytest.raises(StoreReplaced, match="computed from the log again"):
                await other.ledger.do(lambda store: store.adjust(POT))
            other.ledger.is_ready = False
            await other.recovery.look(keeps_books=False)
            assert await agreed(other) == PotState(180, 0, 0)
            assert await agreed(frozen) == PotState(180, 0, 0)

    run(work)


def whys(process: BudgetProcess) -> list[object]:
    found: list[object] = []
    process.log.read(0, lambda seq, action, request_id, details: found.append(details.get("why")))
    return found


def test_a_store_of_a_newer_version_is_refused(url: PostgresUrl) -> None:
    session = BudgetSession(url)
    owners = PostgresOwners(session)
    with owners.attaching(5) as is_alone:
        assert is_alone
    with session.use() as connection:
        assert connection.execute("SHOW idle_in_transaction_session_timeout").fetchone() == ("3s",), "a stopped process lets go"
        connection.execute("UPDATE place SET version = 99")
    session.close()
    with pytest.raises(StoreFailed, match=r"the budgets in test_.* on 127.* comes from a newer version: install that one"):
        BudgetSession(url).has_tables()


def test_a_process_that_ends_is_forgotten(url: PostgresUrl) -> None:
    for _ in range(2):
        session = BudgetSession(url)
        with PostgresOwners(session).attaching(5) as is_alone:
            assert is_alone
        session.close()
