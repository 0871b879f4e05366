"""The store's thread: what comes together shares a transaction, and what nobody waits for is not told of."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from pathlib import Path

from app.limits.budgets.sqlite_store import SqliteBudgetStore
from app.limits.budgets.store import Outcome, PotState, Settle, Step, StoreFailed, Take
from app.limits.budgets.store_thread import Done, Job, StoreThread

from ....support.budgets import share


class Counting(SqliteBudgetStore):
    """A real store that notes how many steps each transaction has, and fails as often as *failures* says."""

    def __init__(self, path: Path, failures: int = 0) -> None:
        super().__init__(path)
        self.batches: list[int] = []
        self.failures = failures

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        self.batches.append(len(steps))
        if self.failures:
            self.failures -= 1
            raise StoreFailed("the disk is full")
        return super().apply(steps)


def take(key: str, amount: int = 10) -> Job:
    return Job(None, 0.0, step=Take(key, 0, (share(amount),)))


def settle(key: str, amount: int = 10, spent: int = 1) -> Job:
    return Job(None, 0.0, step=Settle(key, (share(amount),), (spent,)))


def run(store: Counting, *handed_in: list[Job]) -> list[Done]:
    """Hand in what is to come together; what was told of it all."""
    store.attach(1)
    told: queue.SimpleQueue[Done] = queue.SimpleQueue()
    thread = StoreThread(store, told.put)
    for jobs in handed_in:
        thread.hand_in(jobs)
    thread.stop()
    thread.start()
    thread.join(30)
    store.attach(1)
    return [told.get() for _ in range(told.qsize())]


def test_what_waits_shares_one_transaction_and_work_of_its_own_parts_it(tmp_path: Path) -> None:
    store, seen = Counting(tmp_path / "b"), []
    work = Job(None, 0.0, work=lambda one: seen.append(one.pots()))
    run(store, [take("a")], [take("b"), work, settle("a")], [settle("b")])
    assert store.batches == [2, 2]
    assert [states[share(0).pot] for states in seen] == [PotState(0, 20, 0)]
    assert store.pots()[share(0).pot] == PotState(2, 0, 0)
    store.close()


def test_nobody_is_told_of_settlements_without_an_alarm(tmp_path: Path) -> None:
    store = Counting(tmp_path / "b")
    assert run(store, [take("a"), settle("a")]) == []
    (done,) = run(store, [take("b", 50), settle("b", 50, spent=90)])
    assert [job.result.alarms for job in done.jobs] == [(), (0,)]
    store.close()


def test_a_settlement_that_fails_comes_with_the_next_transaction(tmp_path: Path) -> None:
    store = Counting(tmp_path / "b", failures=1)
    work = Job(None, 0.0, work=lambda one: None)
    told = run(store, [settle("a"), work, take("c")])
    assert [done.trouble for done in told] == ["the disk is full"]
    assert store.batches == [1, 2], "the one that failed, and both together"
    store.close()
