"""A disk that is gone for a while under load: the short version of `python -m tests.faults gone`."""

from __future__ import annotations

from pathlib import Path

from . import gone


def test_while_the_disk_fails_all_are_refused_and_nothing_goes_upstream(tmp_path: Path) -> None:
    figures = gone.take_away(tmp_path, seconds=3, how="fails", workers=2, clients=16, readers=2)
    assert (figures.answers > 10, figures.broken > 10) == (True, True)


def test_while_the_disk_hangs_all_are_refused_in_time(tmp_path: Path) -> None:
    figures = gone.take_away(tmp_path, seconds=1, how="hangs", workers=1, clients=16)
    assert (figures.answers > 10, figures.broken > 10) == (True, True)
