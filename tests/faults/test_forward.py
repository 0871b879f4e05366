"""Killed forwarders and receivers lose no record: the short version of `python -m tests.faults forward`."""

from __future__ import annotations

from pathlib import Path

from . import forward


def test_no_record_is_lost_over_kills_of_both_ends(tmp_path: Path) -> None:
    figures = forward.forward(tmp_path, kills=2)
    assert "0 lost" in figures.remarks[0]
