"""A power loss undoes no promise: the short version of `python -m tests.faults power`."""

from __future__ import annotations

from pathlib import Path

from . import power


def test_a_power_cut_loses_nothing_that_was_acknowledged_or_signed(tmp_path: Path) -> None:
    """Unsynced data is gone or garbled, the mark has any of its earlier values, the files of the tree are damaged."""
    assert power.cut_power(tmp_path, cuts=25).answers > 200
