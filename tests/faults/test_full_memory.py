"""A full or read-only /dev/shm: the short version of `python -m tests.faults shm`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import full_memory


@pytest.mark.parametrize("workers", [1, 2])
def test_readiness_says_that_nothing_can_be_counted(tmp_path: Path, workers: int) -> None:
    figures = full_memory.fill(tmp_path, workers=workers, clients=4)
    assert len(figures.ready) == 1


def test_a_service_that_starts_with_a_full_memory_says_so_and_goes_on(tmp_path: Path) -> None:
    said = full_memory.start_full(tmp_path)
    assert "Requests cannot be counted against their limits and are refused: " in said
    assert "Traceback" not in said


def test_a_service_whose_memory_is_read_only_says_where_it_counts(tmp_path: Path) -> None:
    said = full_memory.start_read_only(tmp_path)
    assert full_memory.READ_ONLY in said
    assert "Traceback" not in said
