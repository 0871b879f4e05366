"""A disk of 64 KiB that fills under load: the short version of `python -m tests.faults full`."""

from __future__ import annotations

from pathlib import Path

from . import full


def test_a_disk_that_fills_under_load_breaks_no_promise_and_it_resumes(tmp_path: Path) -> None:
    """Every answer has two records, every call an ask.received; none is made while refusing; no line is torn."""
    figures = full.fill(tmp_path / "service", workers=2, clients=32, fills=2)
    assert figures.answers > 10
