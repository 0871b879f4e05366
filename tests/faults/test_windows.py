"""Limits are exact over processes: the short version of `python -m tests.faults windows`."""

from __future__ import annotations

from pathlib import Path

from . import windows


def test_the_shared_window_equals_the_one_in_sqlite(tmp_path: Path) -> None:
    windows.compare(tmp_path / "shared", steps=100_000)


def test_of_four_processes_and_one_killed_exactly_the_limit_is_allowed(tmp_path: Path) -> None:
    windows.race(tmp_path / "shared")


def test_no_window_of_a_minute_has_more_than_its_limit(tmp_path: Path) -> None:
    windows.sixty(tmp_path / "shared", calls=2000)


def test_processes_that_are_killed_leave_whole_windows(tmp_path: Path) -> None:
    windows.kill_often(tmp_path / "shared", kills=8)
