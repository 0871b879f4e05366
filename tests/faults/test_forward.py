"""Killed forwarders and receivers lose no record: the short version of `python -m tests.faults forward`."""

from __future__ import annotations

from pathlib import Path

from . import forward


def test_no_record_is_lost_over_kills_of_both_ends(tmp_path: Path) -> None:
    figures = forward.forward(tmp_path, kills=1)
    assert [remark.partition(",")[0] for remark in figures.remarks[1:]] == [f"{kind}: 0 lost" for kind in forward.SCHEMES]
