"""The store in SQLite: whole batches, one file for all processes, and what is done about a file that was lost."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.limits.budgets.books import Books
from app.limits.budgets.sqlite_store import SqliteBudgetStore
from app.limits.budgets.store import LogPlace, StoreFailed, StoreReplaced, Take

from ....support.budgets import share

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
