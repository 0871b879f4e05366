"""What every store of the budgets does, in a file or on PostgreSQL: one list of tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.catalogue.prices import BILLION
from app.limits.budgets.books import Books, OpenQuestion
from app.limits.budgets.postgres_session import BudgetSession, PostgresOwners
from app.limits.budgets.postgres_store import PostgresBudgetStore
from app.limits.budgets.reservations import MOST_AMOUNT, Pot
from app.limits.budgets.sqlite_store import SqliteBudgetStore
from app.limits.budgets.store import BudgetStore, LogPlace, OpenRow, PotState, Settle, Take

from ....support.budgets import DAY, REQUEST, budget, reservation, share
from ....support.postgres_clients import new_url

POT, PLACE = share(0).pot, LogPlace(7, 4096, "f" * 64)
Open = Callable[[], BudgetStore]


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the store for one more process."""
    made: list[BudgetStore] = []
    url = new_url(request.getfixturevalue("postgres")) if request.param == "postgres" else None

    def make() -> BudgetStore:
        if url is None:
            store: BudgetStore = SqliteBudgetStore(tmp_path / "budgets.sqlite3")
            made.append(store)
            store.attach(len(made))
            return store
        session = BudgetSession(url)
        store, owners = PostgresBudgetStore(session), PostgresOwners(session)
        made.append(store)
        with owners.attaching(5):
            store.attach(owners.own)
        return store

    yield make
    for one in made:
        one.close()


def test_two_processes_share_every_pot(opened: Open) -> None:
    one, other = opened(), opened()
    one.apply([Take("a", 5, (share(60),))])
    (lacking,) = other.apply([Take("b", 5, (share(60),))])
    assert (lacking.lacking, lacking.states) == ((0,), (PotState(0, 60, 0),))
    other.apply([Settle("a", (share(60),), (10,))])
    assert one.pots() == {POT: PotState(10, 0, 0)}
    assert (one.open_rows(), one.pots([POT, Pot("x", DAY)])) == ([], {POT: PotState(10, 0, 0), Pot("x", DAY): PotState(0, 0, 0)})


@pytest.mark.slow
def test_threads_that_reserve_at_once_never_take_more_than_there_is(opened: Open) -> None:
    opened()
    taken = []

    def take(number: int) -> None:
        store = opened()
        for turn in range(50):
            (outcome,) = store.apply([Take(f"{number}-{turn}", 0, (share(1),))])
            taken.append(not outcome.lacking)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), sum(taken)) == (200, 100)


def test_a_row_says_who_reserved_what_and_after_which_byte(opened: Open) -> None:
    store = opened()
    store.apply([Take("a", 5, (share(60),))])
    (row,) = store.open_rows()
    assert (row.key, row.after, row.amounts, row.owner > 0) == ("a", 5, {POT: 60}, True)
    store.claim([OpenRow("a", 9, 5, {POT: 60}), OpenRow("b", 9, 6, {POT: 30})])
    assert store.open_rows() == [OpenRow("a", 9, 5, {POT: 60}), OpenRow("b", 9, 6, {POT: 30})]
    assert store.pots()[POT].open == 90


def test_changes_of_an_operator_are_sums(opened: Open) -> None:
    store = opened()
    assert store.adjust(POT, added=50) == PotState(0, 0, 50)
    assert store.adjust(POT, spent=-20) == PotState(-20, 0, 50)


def test_what_it_knows_of_the_log_is_kept_and_can_be_made_the_state_of_now(opened: Open) -> None:
    store, question = opened(), reservation(budget(money=BILLION))
    assert store.books() == (Books(), None)
    store.apply([Take("a", 0, (share(60),)), Settle("b", (share(5),), (99,))])
    books = Books()
    books.spent[POT], books.added[POT] = 33, 4
    books.open[6] = OpenQuestion(REQUEST, {share.pot: share.amount for share in question.shares}, question.members())
    store.keep(books, PLACE)
    assert store.books() == (books, PLACE)
    store.rebuild([OpenRow("c", 3, 0, {POT: 7})])
    assert store.pots()[POT] == PotState(33, 7, 4)
    assert store.open_rows() == [OpenRow("c", 3, 0, {POT: 7})]


def test_an_amount_beyond_64_bits_stays_at_the_bound(opened: Open) -> None:
    store = opened()
    store.apply([Take("a", 0, (share(0),)), Settle("a", (share(0),), (MOST_AMOUNT,))])
    store.apply([Take("b", 0, (share(0),)), Settle("b", (share(0),), (MOST_AMOUNT,))])
    assert store.pots()[POT].spent == MOST_AMOUNT
