"""Planted secrets and every output: the short version of `python -m tests.faults secrets`."""

from __future__ import annotations

from pathlib import Path

from . import secrets


def test_no_output_holds_a_planted_secret(tmp_path: Path) -> None:
    figures = secrets.hunt(tmp_path, workers=1, is_short=True)
    assert "36 secrets" in figures.remarks
