"""Notes of what was handed out: they outlive their process, and a line that is not whole is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.limits.budgets.notes import NAME, Notes, NotesLost
from app.limits.budgets.store import OpenRow

from ....support.budgets import OWN_POT

AMOUNTS = [(*OWN_POT, 60)]


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    notes = Notes(tmp_path)
    notes.open(5)
    yield notes
    notes.close()


def test_others_read_what_was_handed_out(tmp_path: Path, notes: Notes) -> None:
    assert [notes.write("a", 10, AMOUNTS), notes.write("b", 11, AMOUNTS)] == [1, 2]
    assert Notes(tmp_path).of(5) == [(1, OpenRow("a", 5, 10, {OWN_POT: 60})), (2, OpenRow("b", 5, 11, {OWN_POT: 60}))]


def test_a_line_that_is_not_whole_was_not_handed_out(tmp_path: Path, notes: Notes) -> None:
    notes.write("a", 10, AMOUNTS)
    notes.write("b", 11, AMOUNTS)
    file = tmp_path / f"{NAME}.5.0"
    os.truncate(file, file.stat().st_size - 1)
    assert [number for number, _ in Notes(tmp_path).of(5)] == [1]


def test_the_files_take_turns_so_that_what_is_being_told_stays(tmp_path: Path, notes: Notes) -> None:
    for key in "abc":
        notes.write(key, 0, AMOUNTS)
        notes.turn()
    assert [row.key for _, row in Notes(tmp_path).of(5)] == ["c"]
    notes.write("d", 0, AMOUNTS)
    assert {row.key for _, row in Notes(tmp_path).of(5)} == {"c", "d"}


def test_what_was_not_told_outlives_its_process_until_it_is_removed(tmp_path: Path) -> None:
    dying, other = Notes(tmp_path), Notes(tmp_path)
    dying.open(6)
    dying.write("a", 0, AMOUNTS)
    dying.close(are_told=False)
    assert len(other.of(6)) == 1
    other.remove(6)
    with pytest.raises(NotesLost):
        other.of(6)
    assert list(tmp_path.iterdir()) == []
