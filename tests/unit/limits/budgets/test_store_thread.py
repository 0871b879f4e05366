"""The store's thread: what comes together shares a transaction, and what nobody waits for is not told of."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from pathlib import Path

import pytest

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
    return Job(None, step=Take(key, 0, (share(amount),)))


def settle(key: str, amount: int = 10, spent: int = 1) -> Job:
    return Job(None, step=Settle(key, (share(amount),), (spent,)))


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


def test_what_comes_together_shares_one_transaction_and_work_follows(tmp_path: Path) -> None:
    store, seen = Counting(tmp_path / "b"), []
    work = Job(None, work=lambda one: seen.append(one.pots()))
    run(store, [take("a"), work, take("b"), settle("a")], [settle("b")])
    assert store.batches == [3, 1]
    assert [states[share(0).pot] for states in seen] == [PotState(1, 10, 0)]
    assert store.pots()[share(0).pot] == PotState(2, 0, 0)
    store.close()


def test_each_transaction_is_told_of_with_its_alarms(tmp_path: Path) -> None:
    store = Counting(tmp_path / "b")
    told = run(store, [take("a"), settle("a")], [take("b", 50), settle("b", 50, spent=90)])
    assert [[job.result.alarms for job in done.jobs] for done in told] == [[(), ()], [(), (0,)]]
    store.close()


def test_a_settlement_that_fails_comes_with_the_next_transaction(tmp_path: Path) -> None:
    store = Counting(tmp_path / "b", failures=1)
    told = run(store, [settle("a")], [take("c")])
    assert [done.trouble for done in told] == ["the disk is full", None]
    assert store.batches == [1, 2], "the one that failed, and both together"
    store.close()


def test_what_failed_waits_for_a_replaced_store_to_be_attached_again(tmp_path: Path) -> None:
    store = Counting(tmp_path / "b")
    (tmp_path / "b").touch()
    told = run(store, [take("a")], [Job(None, work=lambda one: (tmp_path / "b").unlink())], [settle("a")], [take("b")])
    assert [done.is_replaced for done in told] == [False, False, True, True]
    assert [[job.step for job in done.unsettled] for done in told[2:]] == [[settle("a").step], []], "a question is refused"
    store.close()


def test_a_failure_that_nobody_expected_is_one_of_the_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Counting(tmp_path / "b")
    work = Job(None, work=lambda one: dict[str, int]()["missing"])
    (done,) = run(store, [work])
    assert isinstance(done.jobs[0].error, StoreFailed)
    assert "KeyError" in caplog.text, "with its traceback"
    store.close()
