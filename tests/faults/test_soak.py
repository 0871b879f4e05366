"""Every fault of the soak once: the short version of `python -m tests.faults soak`, which lasts an hour."""

from __future__ import annotations

from pathlib import Path

from . import soak


def test_every_fault_passes_and_the_books_add_up(tmp_path: Path) -> None:
    figures = soak.soak(tmp_path / "service", seconds=1, every=1, is_busy=True)
    assert figures.remarks[0] == f"{len(soak.FAULTS)} faults of {len(soak.FAULTS)} kinds"
