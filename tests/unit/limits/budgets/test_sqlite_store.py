"""The store in SQLite: whole batches, one file for all processes, and what is done about a file that was lost."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.catalogue.prices import BILLION
from app.limits.budgets.books import Books, OpenQuestion
from app.limits.budgets.reservations import MOST_AMOUNT, Pot
from app.limits.budgets.sqlite_store import SqliteBudgetStore
from app.limits.budgets.store import LogPlace, OpenRow, PotState, Settle, StoreFailed, StoreReplaced, Take

from ....support.budgets import DAY, REQUEST, budget, reservation, share

POT, PLACE = share(0).pot, LogPlace(7, 4096, "f" * 64)
Open = Callable[[], SqliteBudgetStore]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "budgets.sqlite3"


@pytest.fixture
def opened(path: Path) -> Iterator[Open]:
    made: list[SqliteBudgetStore] = []

    def make() -> SqliteBudgetStore:
        made.append(SqliteBudgetStore(path))
        made[-1].attach(len(made))
        return made[-1]

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
def test_threads_that_reserve_at_once_never_take_more_than_there_is(path: Path, opened: Open) -> None:
    opened()
    taken = []

    def take(number: int) -> None:
        store = SqliteBudgetStore(path)
        store.attach(number)
        for turn in range(50):
            (outcome,) = store.apply([Take(f"{number}-{turn}", 0, (share(1),))])
            taken.append(not outcome.lacking)
        store.close()

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(taken), sum(taken)) == (200, 100)


def test_a_row_says_who_reserved_what_and_after_which_byte(opened: Open) -> None:
    store = opened()
    store.apply([Take("a", 5, (share(60),))])
    assert store.open_rows() == [OpenRow("a", 1, 5, {POT: 60})]
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


def test_it_is_built_once_it_was_made_from_the_log_and_a_copy_of_it_is_not(path: Path, opened: Open) -> None:
    store = opened()
    store.keep(Books(), PLACE)
    assert not store.attach(1)
    store.rebuild(())
    assert store.attach(1)
    store.close()
    shutil.copy(path, path.with_name("copy"))
    os.rename(path.with_name("copy"), path)
    assert not store.attach(1)


@pytest.mark.parametrize("replace", [os.remove, lambda path: os.rename(path, f"{path}.old")])
def test_a_file_that_is_gone_is_noticed_before_anything_is_reserved(
    path: Path, opened: Open, replace: Callable[[Path], None]
) -> None:
    store = opened()
    replace(path)
    with pytest.raises(StoreReplaced):
        store.apply([Take("a", 0, (share(1),))])
    assert not store.attach(1)
    assert store.apply([Take("a", 0, (share(1),))])[0].lacking == ()


def test_a_damaged_file_is_set_aside(path: Path, opened: Open) -> None:
    path.write_bytes(b"no database" * 1000)
    store = opened()
    assert store.pots() == {}
    assert [one.name.split(".")[2] for one in path.parent.iterdir() if "damaged" in one.name] == ["damaged"]


def test_a_file_of_a_newer_version_is_refused_and_stays(path: Path, opened: Open) -> None:
    store = opened()
    store._db.execute("PRAGMA user_version=99")  # type: ignore[union-attr]  # it is open
    store.close()
    with pytest.raises(StoreFailed, match="newer version"):
        SqliteBudgetStore(path).attach(1)
    assert path.exists()


def test_an_operator_beside_the_service_makes_nothing(path: Path) -> None:
    assert not SqliteBudgetStore(path).open_beside()
    assert not path.exists()


def test_the_file_is_for_its_owner_alone(path: Path, opened: Open) -> None:
    opened()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_failure_leaves_nothing_of_a_batch(path: Path, opened: Open) -> None:
    store = opened()
    store._db.execute("DROP TABLE open")  # type: ignore[union-attr]  # it is open
    with pytest.raises(StoreFailed):
        store.apply([Take("a", 0, (share(1),))])
    assert store.pots() == {}
