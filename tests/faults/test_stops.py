"""SIGTERM under load resets no request and loses nothing: the short version of `python -m tests.faults stops`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import stops


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_under_load_answers_every_request_that_it_accepted(tmp_path: Path, workers: int) -> None:
    figures = stops.stop(tmp_path, rounds=2, workers=workers)
    assert figures.remarks[0].startswith("2 x SIGTERM, each ended with 0")
