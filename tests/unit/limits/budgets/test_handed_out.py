"""Advances hand out what the store holds for them: never more than there is, whichever process dies."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from app.limits.budgets.handed_out import FEW, SPAN_SECONDS, HandedOut
from app.limits.budgets.ledger import HELD_UP_SECONDS, HELD_UP_TRIES
from app.limits.budgets.notes import Notes
from app.limits.budgets.reservations import Pot
from app.limits.budgets.sqlite_store import SqliteBudgetStore
from app.limits.budgets.store import PotState, Settle, Step, Take

from ....support.budgets import OWN_POT, share

MOST = 1000
OTHER_POT = Pot("all/month/tokens", "2026-11")


class Worker:
    """One process: what it hands out, and its view of the store. Nothing runs beside a test."""

    def __init__(self, folder: Path, owner: int) -> None:
        self.owner, self.now = owner, 0.0
        self.store, self.notes = SqliteBudgetStore(folder / "budgets.sqlite3"), Notes(folder)
        self.handed_out = HandedOut(self.notes, clock=lambda: self.now)
        self.untold: dict[str, int] = {}
        self.open: dict[str, Take] = {}
        self.store.attach(owner)
        self.handed_out.start(owner)

    def take(self, key: str, amount: int, *pots: Pot) -> bool:
        """Whether it was handed out; or reserved, where no advance bears it."""
        step = Take(key, 0, tuple(share(amount, MOST, pot=pot) for pot in pots or [OWN_POT]))
        if self.handed_out.take(step) is not None:
            self.open[key] = step
            return True
        self.tell(step)
        return False

    def settle(self, key: str, spent: int) -> None:
        take = self.open.pop(key)
        step = Settle(key, take.shares, (spent,) * len(take.shares))
        if not self.handed_out.settle(step):
            self.tell(step)
        else:
            self.untold[key] = spent

    def leave(self, key: str) -> None:
        take = self.handed_out.leave(key)
        assert take is not None
        self.tell(take)

    def tell(self, *steps: Step, is_confirmed: bool = True) -> None:
        """*is_confirmed*: the process lives until it hears that it was done."""
        outcomes, granted = self.store.exchange(steps, self.handed_out.offer())
        self.untold = {}
        if is_confirmed:
            self.handed_out.granted(granted)
        for step, outcome in zip(steps, outcomes, strict=True):
            if isinstance(step, Take) and not outcome.lacking:
                self.open[step.key] = step

    def rest(self) -> None:
        """Nobody asks for as long as a question waits for what others hold."""
        for _ in range(int(HELD_UP_SECONDS * HELD_UP_TRIES / SPAN_SECONDS)):
            self.now += SPAN_SECONDS
            self.tell()

    def die(self) -> None:
        self.handed_out.close(are_told=False)
        self.store.close()

    def close(self) -> None:
        self.handed_out.close(are_told=True)
        self.store.close()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    opened: list[Worker] = []

    def open_worker() -> Worker:
        opened.append(Worker(tmp_path, len(opened) + 1))
        return opened[-1]

    yield open_worker
    for one in opened:
        one.close()


def use_often(one: Worker, amount: int = 1) -> None:
    for number in range(FEW):
        assert not one.take(f"{one.owner}-often-{number}", amount)


def test_a_pot_that_is_used_often_needs_no_transaction_any_more(worker: Callable[[], Worker]) -> None:
    one = worker()
    use_often(one)
    assert one.take("a", 1)
    assert one.store.pots()[OWN_POT] == PotState(0, FEW, 0), "the store is told later"
    one.tell()
    assert one.store.pots()[OWN_POT] == PotState(0, FEW + 1, 0)
    assert len(one.store.open_rows()) == FEW, "and only the sums"
    one.settle("a", 1)
    one.tell()
    assert one.store.pots()[OWN_POT] == PotState(1, FEW, 0)


def test_what_it_shows_includes_what_the_store_does_not_know(worker: Callable[[], Worker]) -> None:
    one = worker()
    use_often(one, 10)
    found = one.handed_out.take(Take("a", 0, (share(10, MOST),)))
    assert found == (PotState(0, 10 * FEW + 10, 0),)
    one.tell()
    step = Settle("a", (share(10, MOST),), (3,))
    assert one.handed_out.settle(step)
    assert one.handed_out.states(step) == (PotState(3, 10 * FEW, 0),)


def test_several_budgets_are_handed_out_of_together_or_not_at_all(worker: Callable[[], Worker]) -> None:
    one = worker()
    use_often(one)
    assert not one.take("a", 1, OWN_POT, OTHER_POT)
    assert one.store.pots() == {OWN_POT: PotState(0, FEW + 1, 0), OTHER_POT: PotState(0, 1, 0)}
    for number in range(FEW):
        one.take(f"b{number}", 1, OWN_POT, OTHER_POT)
    assert one.take("c", 1, OWN_POT, OTHER_POT)


def test_what_is_held_is_nobody_elses_and_returns_when_nobody_asks(worker: Callable[[], Worker]) -> None:
    one, other = worker(), worker()
    use_often(one, 25)
    left = other.store.pots()[OWN_POT].left(MOST)
    (outcome,), _ = other.store.exchange([Take("b", 0, (share(left, MOST),))], other.handed_out.offer())
    assert (outcome.lacking, outcome.is_held_up) == ((0,), True)
    one.rest()
    assert one.store.holders() == set()
    other.take("b", left)
    assert other.store.pots()[OWN_POT].left(MOST) == 0


@pytest.mark.parametrize("spans", [1.0, 1.4, 2.3])
def test_an_exchange_that_comes_late_keeps_the_advance(worker: Callable[[], Worker], spans: float) -> None:
    one = worker()
    use_often(one)
    handed_out = list[bool]()
    for number in range(10):
        handed_out += [one.take(f"{number} {each}", 1) for each in range(2 * FEW)]
        one.now += spans * SPAN_SECONDS
        one.tell()
    assert all(handed_out[2 * FEW :])


def test_close_to_the_end_of_a_budget_nothing_is_held(worker: Callable[[], Worker]) -> None:
    one = worker()
    use_often(one, MOST // FEW - 10)
    assert one.store.holders() == set()


def test_without_a_place_for_notes_nothing_is_handed_out(tmp_path: Path) -> None:
    handed_out = HandedOut(Notes(tmp_path / "missing"))
    handed_out.start(1)
    assert handed_out.take(Take("a", 0, (share(1),))) is None
    assert handed_out.offer().wanted == []


@pytest.mark.parametrize("seed", range(12))
def test_settled_and_open_are_never_over_whoever_dies(worker: Callable[[], Worker], seed: int) -> None:
    """A random life of three workers against one budget, checked against a plain sum."""
    chance = random.Random(seed)
    workers, spent, amounts = [worker() for _ in range(3)], 0, dict[str, int]()
    for number in range(400):
        one = chance.choice(workers)
        kind = chance.choices(["take", "settle", "tell", "wait", "die", "leave"], [60, 55, 12, 4, 2, 2])[0]
        if kind == "take":
            key = f"{number}"
            amount = chance.randint(1, 40 if seed % 2 else 12)
            one.take(key, amount)
            if key in one.open:
                amounts[key] = amount
        elif kind == "settle" and one.open:
            key = chance.choice(sorted(one.open))
            used = chance.randint(0, amounts.pop(key)) // 4
            one.settle(key, used)
            spent += used
        elif kind == "tell":
            one.tell()
        elif kind == "wait":
            one.now += SPAN_SECONDS
        elif kind == "die":
            if chance.random() < 0.5:
                one.tell(is_confirmed=False)
            workers[workers.index(one)] = heir = worker()
            spent += inherit(heir, one, amounts)
        elif kind == "leave" and (left := [key for key in one.open if key in one.handed_out._open]):
            one.leave(chance.choice(left))
        assert spent + sum(amounts.values()) <= MOST
    for one in workers:
        one.rest()
    assert workers[0].store.pots()[OWN_POT] == PotState(spent, sum(amounts.values()), 0)
    rows = {row.key: row.amounts[OWN_POT] for row in workers[0].store.open_rows()}
    handed_out = {key: take.shares[0].amount for one in workers for key, (take, *_) in one.handed_out._open.items()}
    assert rows | handed_out == amounts


def inherit(heir: Worker, dead: Worker, amounts: dict[str, int]) -> int:
    """As a recovery does: what *dead* had open is settled in full, and what it had settled as it had said; the first sum."""
    dead.die()
    if dead.owner in heir.store.holders():
        heir.store.take_over(dead.owner, partial(heir.notes.of, dead.owner))
    rows = [row for row in heir.store.open_rows() if row.owner == dead.owner]
    assert {row.key for row in rows} == {*dead.open, *dead.untold}
    steps = [
        Settle(row.key, (share(row.amounts[OWN_POT], MOST),), (dead.untold.get(row.key, row.amounts[OWN_POT]),)) for row in rows
    ]
    heir.store.apply(steps)
    return sum(amounts.pop(key) for key in dead.open)
