"""Nothing acknowledged is lost, whatever dies: the short versions of `python -m tests.faults load` and `kill`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import crash


@pytest.mark.parametrize("workers", [1, 2])
def test_under_load_each_question_is_in_one_sound_log_exactly_once(tmp_path: Path, workers: int) -> None:
    """The readers check heads, tiles, pages and receipts as they come; nobody is refused."""
    figures = crash.load(tmp_path, questions=400, workers=workers, readers=4)
    assert figures.answers == 400


@pytest.mark.parametrize("whom", list(crash.WHOM))
def test_killing_under_load_loses_nothing_that_was_acknowledged_or_signed(tmp_path: Path, whom: str) -> None:
    figures = crash.kills(tmp_path, rounds=3, workers=2, clients=16, whom=whom)
    assert "3 of 3 verify" in figures.remarks
