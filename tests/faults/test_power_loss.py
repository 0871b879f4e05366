"""A loss of power takes nothing back: the short version of `python -m tests.faults power`."""

from __future__ import annotations

from pathlib import Path

from . import power


def test_a_power_cut_loses_nothing_that_was_acknowledged_or_signed(tmp_path: Path) -> None:
    """What was not synced is gone or garbled, the lock file's mark is any it ever was, the tree's files are damaged."""
    assert power.cut_power(tmp_path, cuts=25).answers > 200
