"""Health while others flood the service: the short version of `python -m tests.faults health`."""

from __future__ import annotations

from pathlib import Path

from . import health


def test_probes_are_answered_while_others_flood_the_service(tmp_path: Path) -> None:
    figures = health.watch(tmp_path, seconds=1, workers=1)
    assert len(figures.remarks) == len(health.FLOODS) + 1
