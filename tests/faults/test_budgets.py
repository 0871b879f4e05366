"""Nobody spends more than there is, and no kill loses a cent: the short versions of `python -m tests.faults budgets`."""

from __future__ import annotations

from pathlib import Path

from . import budgets


def test_a_crowd_is_answered_as_often_as_there_is_money_for(tmp_path: Path) -> None:
    figures = budgets.crowd(tmp_path, clients=100, money_for=20, workers=2)
    assert figures.answers <= 20


def test_the_books_agree_after_every_kind_of_kill(tmp_path: Path) -> None:
    figures = budgets.kills(tmp_path, rounds=6, workers=2, clients=16, seed=4)
    assert "0 differences" in figures.remarks[-1]
