"""Beside principals who keep two servers busy, another is answered: the short form of `python -m tests.faults shares`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import shares


@pytest.mark.parametrize("workers", [1, 2])
def test_another_is_answered_beside_greedy_principals_at_two_servers(tmp_path: Path, workers: int) -> None:
    figures = shares.share(tmp_path / "service", workers=workers, streams=20)
    assert figures.answers == 80
