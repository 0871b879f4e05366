"""The files of amounts: whole entries count, corrections find their second, files of old minutes are removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.limits.shared_amounts import ENTRY, SharedAmounts

ALICE, BOBBY = b"alice".ljust(16), b"bobby".ljust(16)


@pytest.fixture
def amounts(tmp_path: Path) -> Iterator[SharedAmounts]:
    with closing(SharedAmounts(tmp_path / "limits-tokens")) as amounts:
        yield amounts


def seen(path: Path, key: bytes, now: float) -> dict[int, int]:
    """As a process sees it that begins now."""
    with closing(SharedAmounts(path)) as amounts:
        amounts.read(now)
        return amounts.window(key, now)


def test_sums_are_kept_by_second_and_by_key(amounts: SharedAmounts, tmp_path: Path) -> None:
    amounts.read(119.0)
    for key, at, amount in ((ALICE, 119.2, 5), (ALICE, 119.9, 6), (BOBBY, 119.9, 7)):
        amounts.add(key, at, amount)
    amounts.read(120.5)
    amounts.add(ALICE, 120.5, 8)
    for found in (amounts.window(ALICE, 121.0), seen(tmp_path / "limits-tokens", ALICE, 121.0)):
        assert found == {119: 11, 120: 8}
    assert (tmp_path / "limits-tokens.2").read_bytes() == ENTRY.pack(ALICE, 120.5, 8)


def test_an_amount_counts_for_a_minute_and_its_second(amounts: SharedAmounts) -> None:
    amounts.read(100.9)
    amounts.add(ALICE, 100.9, 5)
    for now, found in ((160.9, {100: 5}), (161.0, {})):
        amounts.read(now)
        assert amounts.window(ALICE, now) == found


def test_a_correction_counts_for_the_second_that_it_corrects(amounts: SharedAmounts, tmp_path: Path) -> None:
    amounts.read(59.0)
    amounts.add(ALICE, 59.0, 1000)
    amounts.read(100.0)
    amounts.add(ALICE, 59.0, -900)
    assert amounts.window(ALICE, 100.0) == {59: 100}
    assert seen(tmp_path / "limits-tokens", ALICE, 100.0) == {59: 100}
    amounts.read(180.0)
    amounts.add(ALICE, 59.0, -100)
    assert amounts.window(ALICE, 180.0) == {}, "too long ago for any window"


def test_only_the_files_of_two_minutes_are_kept(amounts: SharedAmounts, tmp_path: Path) -> None:
    for minute in (5, 6, 7, 20):
        amounts.read(60.0 * minute)
        amounts.add(ALICE, 60.0 * minute, 1)
        assert {file.name for file in tmp_path.iterdir()} == {f"limits-tokens.{minute - 1}", f"limits-tokens.{minute}"}


def test_what_others_wrote_is_seen_and_half_an_entry_is_written_over(amounts: SharedAmounts, tmp_path: Path) -> None:
    amounts.read(60.0)
    with closing(SharedAmounts(tmp_path / "limits-tokens")) as other:
        other.read(60.0)
        other.add(ALICE, 60.0, 5)
    with (tmp_path / "limits-tokens.1").open("ab") as file:
        file.write(ENTRY.pack(ALICE, 61.0, 7)[:-1])
    amounts.read(61.0)
    assert amounts.window(ALICE, 61.0) == {60: 5}
    amounts.add(BOBBY, 61.0, 9)
    assert seen(tmp_path / "limits-tokens", BOBBY, 61.0) == {61: 9}
