"""The store and the log agree again: after a crash, after a worker died beside others, after the store was lost."""

from __future__ import annotations

import sqlite3
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import pytest

from app.limits.budgets import recovery
from app.limits.budgets.found import key_of
from app.limits.budgets.notes import NAME
from app.limits.budgets.recovery import CRASHED, NO_RECORD, NOT_RECEIVED, NOT_SENT, ORPHAN_SECONDS, WORKER_DIED
from app.limits.budgets.reservations import Pot, Tokens
from app.limits.budgets.sqlite_store import SqliteBudgetStore
from app.limits.budgets.store import PotState, StoreFailed

from ....support.budget_process import BudgetProcess, run
from ....support.budgets import DAY, budget, claim, spent_members

ONE, TWO, THREE = ("a" * 32, "b" * 32, "c" * 32)
TOKENS = budget(tokens=10_000)
POT = Pot(TOKENS.id, DAY)
USED = Tokens(20, 10)


async def answer(process: BudgetProcess, request_id: str) -> None:
    """A whole question that uses 30 tokens."""
    reservation, seq = await process.ask(request_id, TOKENS)
    await process.record("ask.answered", request_id, received=seq, spent=spent_members(reservation, "usage", USED))
    await process.budgets.settle(reservation, reservation.spent("usage", USED))


async def agreed(process: BudgetProcess) -> PotState:
    """What the store holds, once it is sure that the log says the same."""
    books, (state,) = process.books(), (await process.pots()).values()
    assert (books.spent[POT], books.reserved()[POT], books.added[POT]) == (state.spent, state.open, state.added)
    assert books.problems == []
    return state


def last_details(process: BudgetProcess) -> dict[str, object]:
    found: list[dict[str, object]] = []
    process.log.read(0, lambda seq, action, request_id, details: found.append(dict(details)))
    return found[-1]


def test_a_question_that_a_crash_left_open_is_settled_at_its_reservation(tmp_path: Path) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as first:
            await answer(first, ONE)
            await first.ask(TWO, TOKENS)
        async with BudgetProcess(tmp_path) as second:
            assert await agreed(second) == PotState(30 + 150, 0, 0)
            assert last_details(second)["why"] == CRASHED
        async with BudgetProcess(tmp_path) as third:
            assert third.actions().count("budget.settled") == 1, "once"

    run(work)


def test_a_reservation_without_a_record_of_the_question_is_released(tmp_path: Path) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as first:
            await answer(first, ONE)
            await first.budgets.reserve(TWO, (await first.ask(THREE, TOKENS))[0].claim, "alice")
        async with BudgetProcess(tmp_path) as second:
            assert await agreed(second) == PotState(30 + 150, 0, 0)
            assert last_details(second) == {
                "why": NOT_RECEIVED,
                "released": [{"budget": TOKENS.id, "period": DAY, "amount": 150}],
            }

    run(work)


def test_a_worker_that_died_beside_others_is_settled_and_theirs_go_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as living:
            mine, seq = await living.ask(ONE, TOKENS)
            async with BudgetProcess(tmp_path) as dying:
                await dying.ask(TWO, TOKENS)
                reservation, received = await dying.ask(THREE, TOKENS)
                await dying.record("ask.failed", THREE, received=received, spent=spent_members(reservation, "nothing"))
            async with BudgetProcess(tmp_path) as successor:
                assert await agreed(successor) == PotState(150, 150, 0)
                assert last_details(successor)["why"] == WORKER_DIED
                await living.record("ask.answered", ONE, received=seq, spent=spent_members(mine, "usage", USED))
                await living.budgets.settle(mine, mine.spent("usage", USED))
                assert await agreed(successor) == PotState(180, 0, 0)

    run(work)


@pytest.mark.parametrize("how", ["deleted", "damaged", "replaced by an older one"])
def test_a_store_that_was_lost_while_nothing_ran_is_made_from_the_log(tmp_path: Path, how: str) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as first:
            await answer(first, ONE)
        older = first.store_path.read_bytes()
        async with BudgetProcess(tmp_path) as second:
            await answer(second, TWO)
        for suffix in ("-wal", "-shm"):
            first.store_path.with_name(first.store_path.name + suffix).unlink(missing_ok=True)
        first.store_path.unlink()
        if how != "deleted":
            first.store_path.write_bytes(older if how != "damaged" else b"x" * 8192)
        async with BudgetProcess(tmp_path) as third:
            assert await agreed(third) == PotState(60, 0, 0)

    run(work)


def test_a_store_that_is_deleted_while_the_service_runs_is_made_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as one, BudgetProcess(tmp_path) as other:
            await answer(one, ONE)
            mine, seq = await one.ask(TWO, TOKENS)
            one.store_path.unlink()
            for process in (one, other):
                with pytest.raises(StoreFailed):
                    await process.ledger.do(lambda store: store.pots())
                process.ledger.is_ready = False
                await process.recovery.look(keeps_books=False)
            assert await agreed(other) == PotState(30, 150, 0)
            await one.record("ask.answered", TWO, received=seq, spent=spent_members(mine, "usage", USED))
            await one.budgets.settle(mine, mine.spent("usage", USED))
            assert await agreed(other) == PotState(60, 0, 0)

    run(work)


def test_a_log_that_was_begun_again_has_its_own_books(tmp_path: Path) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as first:
            await answer(first, ONE)
        first.log_path.rename(first.log_path.with_suffix(".old"))
        first.log_path.with_name(first.log_path.name + ".lock").unlink()
        async with BudgetProcess(tmp_path) as second:
            assert await second.pots() == {}

    run(work)


@pytest.mark.parametrize(("is_sent", "why", "spent"), [(True, NO_RECORD, 150), (False, NOT_SENT, 0)])
def test_what_had_to_be_left_is_looked_up_in_the_log(tmp_path: Path, is_sent: bool, why: str, spent: int) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as process:
            await answer(process, TWO)
            reservation, _ = await process.ask(ONE, TOKENS)
            process.budgets.leave(reservation, may_have_generated=is_sent)
            await process.budgets.look(keeps_books=False)
            assert await agreed(process) == PotState(30 + spent, 0, 0)
            assert last_details(process)["why"] == why
            assert process.ledger.left == {}

    run(work)


def test_what_was_left_and_stands_in_the_log_is_settled_as_it_says(tmp_path: Path) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as process:
            reservation, seq = await process.ask(ONE, TOKENS)
            await process.record("ask.answered", ONE, received=seq, spent=spent_members(reservation, "usage", USED))
            process.budgets.leave(reservation, may_have_generated=True)
            await process.budgets.look(keeps_books=False)
            assert await agreed(process) == PotState(30, 0, 0)

    run(work)


@pytest.mark.parametrize(("late", "spent"), [("ask.received", 0), ("ask.answered", 30)])
def test_a_record_that_was_late_counts_before_the_end_that_was_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: str, spent: int
) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as process:
            await answer(process, TWO)
            if late == "ask.received":
                reservation, *_ = await process.budgets.reserve(ONE, claim(TOKENS, price=None), "alice")
                details: dict[str, Any] = {"reserved": reservation.members()}
            else:
                reservation, seq = await process.ask(ONE, TOKENS)
                details = {"received": seq, "spent": spent_members(reservation, "usage", USED)}
            process.budgets.leave(reservation, may_have_generated=late != "ask.received")
            record = process.log.record

            async def record_late(*made_up: Any) -> None:
                await process.record(late, ONE, **details)
                await record(*made_up)

            monkeypatch.setattr(process.log, "record", record_late)
            await process.budgets.look(keeps_books=False)
            assert await agreed(process) == PotState(30 + spent, 0, 0)

    run(work)


def test_both_attempts_of_a_question_are_settled_after_a_crash(tmp_path: Path) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as first:
            reservation, seq = await first.ask(ONE, TOKENS)
            again, *_ = await first.budgets.reserve(key_of(ONE, 2), reservation.claim, "alice")
            more = [{**one, "attempt": 2} for one in again.members()]
            await first.record("ask.attempted", ONE, received=seq, reserved=more)
        async with BudgetProcess(tmp_path) as second:
            assert await agreed(second) == PotState(300, 0, 0)

    run(work)


def test_the_books_are_kept_as_the_log_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as process:
            await answer(process, ONE)
            await process.budgets.look(keeps_books=True)
            assert (await process.ledger.do(lambda store: store.books()))[0].spent == {}, "not yet worth it"
            monkeypatch.setattr(recovery, "KEEP_BYTES", 1)
            await process.budgets.look(keeps_books=True)
            books, place = await process.ledger.do(lambda store: store.books())
            assert (books.spent, place) == ({POT: 30}, process.log.end())
            assert await agreed(process) == PotState(30, 0, 0)

    run(work)


def test_a_store_that_claims_what_the_log_does_not_say_is_put_right(tmp_path: Path) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as first:
            await answer(first, ONE)
        with sqlite3.connect(first.store_path) as forged:
            forged.execute("UPDATE pots SET spent = 0, open = 77")
        forged.close()
        async with BudgetProcess(tmp_path) as second:
            assert await agreed(second) == PotState(30, 0, 0)

    run(work)


async def hand_out(process: BudgetProcess, request_id: str) -> Any:
    """Reserve of an advance, which four questions in a row are worth."""
    for number in range(4):
        await process.ask(f"{number}" * 32, TOKENS)
    reservation, *_ = await process.budgets.reserve(request_id, claim(TOKENS, price=None), "alice")
    assert request_id not in process.ledger.open, "the store has no row of it"
    return reservation


@pytest.mark.parametrize("are_others_there", [True, False])
def test_what_a_dead_process_handed_out_is_looked_up_in_the_log(tmp_path: Path, are_others_there: bool) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) if are_others_there else nullcontext() as other:
            async with BudgetProcess(tmp_path) as dying:
                answered = await hand_out(dying, ONE)
                seq = await dying.record("ask.received", ONE, reserved=answered.members())
                await dying.record("ask.answered", ONE, received=seq, spent=spent_members(answered, "usage", USED))
                await dying.ask(TWO, TOKENS)
                await dying.budgets.reserve(THREE, claim(TOKENS, price=None), "alice")
                dying.die()
            async with BudgetProcess(tmp_path) as successor:
                assert await agreed(successor) == PotState(30 + 5 * 150, 0, 0)
                assert successor.actions().count("budget.released") == 1, "the one that the log has not heard of"
                assert await successor.ledger.do(lambda store: cast(SqliteBudgetStore, store).holders()) == set()
                living = [one.owners.own for one in (successor, other) if one is not None]
                assert {path.suffix for path in tmp_path.glob(f"{NAME}*")} == {f".{own}" for own in living}

    run(work)


@pytest.mark.parametrize("is_told", [True, False])
@pytest.mark.parametrize("is_moved_back", [True, False])
def test_what_was_handed_out_beside_a_new_store_counts_once(tmp_path: Path, is_moved_back: bool, is_told: bool) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as one, BudgetProcess(tmp_path) as other:
            ended = await hand_out(other, ONE)
            seq = await other.record("ask.received", ONE, reserved=ended.members())
            await other.record("ask.answered", ONE, received=seq, spent=spent_members(ended, "usage", USED))
            other.budgets.settle_later(ended, ended.spent("usage", USED))
            going_on, left = [(await other.ask(key, TOKENS))[0] for key in (TWO, THREE)]
            if is_told:
                assert (await other.pots())[POT] == PotState(30, 6 * 150, 0)
            if is_moved_back:
                move_away(other)
                with pytest.raises(StoreFailed):
                    await other.ledger.do(lambda store: store.pots())
                move_back(other)
                await other.recovery.look(keeps_books=False)
            else:
                await replace_store(one, other)
            assert (await other.pots())[POT] == PotState(30, 6 * 150, 0)
            assert len(await other.ledger.do(lambda store: store.open_rows())) == 6
            other.budgets.settle_later(going_on, [0])
            other.budgets.leave(left, may_have_generated=False)
            await other.recovery.look(keeps_books=False)
            assert (await other.pots())[POT] == PotState(30, 4 * 150, 0)

    run(work)


def test_what_was_handed_out_and_left_is_looked_up_in_the_log(tmp_path: Path) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as process:
            left = await hand_out(process, ONE)
            await process.record("ask.received", ONE, reserved=left.members())
            process.budgets.leave(left, may_have_generated=True)
            await process.recovery.look(keeps_books=False)
            assert await agreed(process) == PotState(150, 4 * 150, 0)
            assert process.actions()[-1] == "budget.settled"

    run(work)


def test_an_advance_whose_notes_are_lost_stays_held(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path):
            async with BudgetProcess(tmp_path) as dying:
                await hand_out(dying, ONE)
                dying.die()
                held = dying.owners.own
            (tmp_path / f"{NAME}.{held}").unlink()
            async with BudgetProcess(tmp_path) as successor:
                assert await successor.ledger.do(lambda store: cast(SqliteBudgetStore, store).holders()) == {held}
                assert "stays held" in caplog.text
        async with BudgetProcess(tmp_path) as alone:
            assert await agreed(alone) == PotState(4 * 150, 0, 0)
            assert await alone.ledger.do(lambda store: cast(SqliteBudgetStore, store).holders()) == set()

    run(work)


def move_away(process: BudgetProcess) -> None:
    for path in process.store_path.parent.glob(f"{process.store_path.name}*"):
        if not path.name.endswith(".owners"):
            path.rename(path.with_name(f"away.{path.name}"))


def move_back(process: BudgetProcess) -> None:
    for path in process.store_path.parent.glob("away.*"):
        path.rename(path.with_name(path.name.removeprefix("away.")))


async def replace_store(*processes: BudgetProcess) -> None:
    processes[0].store_path.unlink()
    for process in processes:
        with pytest.raises(StoreFailed):
            await process.ledger.do(lambda store: store.pots())
        await process.recovery.look(keeps_books=False)


@pytest.mark.parametrize("recorded", ["after the rebuild", "before it", "in part before it"])
def test_a_question_beside_which_the_store_is_made_again_counts_once(tmp_path: Path, recorded: str) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as one, BudgetProcess(tmp_path) as other:
            reservation, *_ = await other.budgets.reserve(ONE, claim(TOKENS, price=None), "alice")
            spent = reservation.spent("usage", USED)
            if recorded != "after the rebuild":
                seq = await other.record("ask.received", ONE, reserved=reservation.members())
            if recorded == "before it":
                await other.record("ask.answered", ONE, received=seq, spent=spent_members(reservation, "usage", USED))
            await replace_store(one)
            if recorded == "after the rebuild":
                seq = await other.record("ask.received", ONE, reserved=reservation.members())
            if recorded != "before it":
                await other.record("ask.answered", ONE, received=seq, spent=spent_members(reservation, "usage", USED))
            other.budgets.settle_later(reservation, spent)
            with pytest.raises(StoreFailed):
                await other.ledger.do(lambda store: store.pots())
            await other.recovery.look(keeps_books=False)
            await other.budgets.settle(reservation, spent)
            assert await agreed(one) == PotState(30, 0, 0)

    run(work)


def test_a_process_that_waits_notices_a_store_that_was_made_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as one, BudgetProcess(tmp_path) as other:
            await other.budgets.reserve(ONE, claim(TOKENS, price=None), "alice")
            await replace_store(one)
            assert await one.pots() == {}
            with pytest.raises(StoreFailed):
                await other.recovery.look(keeps_books=False)
            assert other.ledger.needs_attaching.is_set()
            await other.recovery.look(keeps_books=False)
            assert (await one.pots())[POT] == PotState(0, 150, 0)

    run(work)


def test_what_nobody_claims_in_a_store_built_again_is_settled_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        async with BudgetProcess(tmp_path) as one, BudgetProcess(tmp_path) as other:
            async with BudgetProcess(tmp_path) as dying:
                await dying.ask(ONE, TOKENS)
            await other.ask(TWO, TOKENS)
            await replace_store(one, other)
            assert await agreed(one) == PotState(0, 300, 0)
            monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + ORPHAN_SECONDS + 1)
            await one.recovery.look(keeps_books=False)
            assert await agreed(one) == PotState(150, 150, 0)

    run(work)
