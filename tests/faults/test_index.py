"""An index that is killed, hurt and without room comes back: the short version of `python -m tests.faults index`."""

from __future__ import annotations

from pathlib import Path

from . import index


def test_the_index_comes_back_whatever_is_done_to_it(tmp_path: Path) -> None:
    figures = index.hurt(tmp_path, kills=2, records=2_000)
    assert "whole again each time" in figures.remarks[0]
