"""Nothing acknowledged is lost, whatever dies: the short versions of `python -m tests.torture load` and `kill`."""

from __future__ import annotations

from pathlib import Path

from .torture import crash, every_byte


def test_many_questions_at_once_through_many_workers_stand_in_one_sound_log_once_each(tmp_path: Path) -> None:
    figures = crash.load(tmp_path, questions=500)
    assert figures.answers == 500


def test_killing_all_workers_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    figures = crash.kills(tmp_path, rounds=4, workers=2, clients=16, parent_too=0)
    assert (len(figures.ready), figures.answers > 4) == (4, True)


def test_killing_the_whole_service_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    figures = crash.kills(tmp_path, rounds=2, workers=1, clients=16, parent_too=1)
    assert (len(figures.ready), figures.answers > 2) == (2, True)


def test_a_byte_made_any_other_byte_is_found() -> None:
    """Every byte of every line, a few values each; `python -m tests.torture bytes` takes all."""
    assert every_byte.change_every_byte(step=128).answers > 100_000
