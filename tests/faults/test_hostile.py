"""What strangers do with connections: the short version of `python -m tests.faults connections`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import hostile

ROWS = [row for row in hostile.ROWS if row.short]


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_an_honest_caller_is_answered_beside_an_attack(tmp_path: Path, row: hostile.Row) -> None:
    figures = hostile.attack(tmp_path, row, row.short)
    assert figures.answers
