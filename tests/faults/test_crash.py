"""No acknowledged record is lost, whatever is killed: the short versions of `python -m tests.faults load` and `kill`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import crash


@pytest.mark.parametrize("workers", [1, 2])
def test_under_load_each_question_is_in_one_sound_log_exactly_once(tmp_path: Path, workers: int) -> None:
    """Readers check checkpoints, tiles, pages and receipts meanwhile; none is refused."""
    figures = crash.load(tmp_path, questions=400, workers=workers, readers=4)
    assert figures.answers == 400


@pytest.mark.parametrize("victim", list(crash.VICTIMS))
def test_killing_under_load_loses_nothing_that_was_acknowledged_or_signed(tmp_path: Path, victim: str) -> None:
    figures = crash.kills(tmp_path, rounds=3, workers=2, clients=16, victim=victim)
    assert "3 of 3 verify" in figures.remarks
