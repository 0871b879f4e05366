"""Notes of what was handed out: they outlive their process until the store knows of all that they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.limits.budgets.notes import NAME, SLOT_BYTES, SLOTS, Notes, NotesLost
from app.limits.budgets.store import OpenRow

from ....support.budgets import OWN_POT

AMOUNTS = [(*OWN_POT, 60)]


def row(key: str, after: int = 0) -> OpenRow:
    return OpenRow(key, 5, after, {OWN_POT: 60})


def write(notes: Notes, key: str, after: int = 0) -> int:
    slot = notes.write(key, after, AMOUNTS)
    assert slot is not None
    return slot


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    notes = Notes(tmp_path)
    notes.open(5)
    yield notes
    notes.close()


def test_others_read_what_was_handed_out(tmp_path: Path, notes: Notes) -> None:
    for number, key in enumerate("ab"):
        write(notes, key, number)
    found = Notes(tmp_path).of(5, told=0)
    assert sorted(found, key=lambda one: one.key) == [row("a", 0), row("b", 1)]


def test_what_is_settled_stays_until_the_store_was_told(tmp_path: Path, notes: Notes) -> None:
    first, second = write(notes, "a"), write(notes, "b")
    notes.settle(first, 7)
    notes.settle(second, 8)
    assert len(Notes(tmp_path).of(5, told=6)) == 2
    assert Notes(tmp_path).of(5, told=7) == [row("b")], "the process was killed before it freed the first one"
    notes.free(first)
    notes.free(second)
    assert Notes(tmp_path).of(5, told=0) == []


def test_a_note_that_was_cut_off_is_none(tmp_path: Path, notes: Notes) -> None:
    slot = write(notes, "a")
    with (tmp_path / f"{NAME}.5").open("r+b") as file:
        file.seek(slot * SLOT_BYTES)
        file.write(bytes(8))
    assert Notes(tmp_path).of(5, told=0) == []


def test_where_there_is_no_room_nothing_is_noted(notes: Notes) -> None:
    assert notes.write("a" * SLOT_BYTES, 0, AMOUNTS) is None
    slots = {write(notes, str(number)) for number in range(SLOTS)}
    assert len(slots) == SLOTS
    assert notes.write("b", 0, AMOUNTS) is None
    notes.free(5)
    assert notes.write("b", 0, AMOUNTS) == 5


def test_what_was_not_told_outlives_its_process_until_it_is_removed(tmp_path: Path) -> None:
    dying, other = Notes(tmp_path), Notes(tmp_path)
    dying.open(6)
    write(dying, "a")
    dying.close(are_told=False)
    assert len(other.of(6, told=0)) == 1
    other.remove(6)
    with pytest.raises(NotesLost):
        other.of(6, told=0)
    assert list(tmp_path.iterdir()) == []
