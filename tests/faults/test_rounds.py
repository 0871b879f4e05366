"""What `python -m tests.faults` runs, and what it says at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import odd_requests
from .__main__ import PARTS, TOGETHER, print_rounds
from .figures import Figures


def kept(folder: Path) -> Figures:
    return Figures(answers=3, records=3, seconds=0.1)


def broken(folder: Path) -> Figures:
    raise AssertionError("one record is missing\nand much is said of it")


def test_a_broken_promise_stops_no_other_and_is_named_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_rounds("x", [("first", [("one", broken), ("two", kept)]), ("second", [("three", kept)])]) == 1
    *said, last_but_one, last = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in said if line.startswith(("first", "second"))] == [
        ["first", "one", "BROKEN"],
        ["first", "two", "held"],
        ["second", "three", "held"],
    ]
    assert last_but_one == "1 broken:"
    assert last.split()[:3] == ["first", "one", "BROKEN"]
    assert last.endswith("AssertionError: one record is missing")


def test_a_command_whose_promises_all_hold_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_rounds("x", [("first", [("one", kept)])]) == 0
    assert capsys.readouterr().out.endswith("\nevery promise held\n")


def test_a_share_of_the_odd_requests_runs_all_parts_with_one_worker() -> None:
    assert set(TOGETHER["fuzz"]) <= set(PARTS)
    names = [name for part in TOGETHER["fuzz"] for name, _ in odd_requests.rounds_of(part, None, 1)]
    assert [name for name in names if not name.endswith(" 1 worker(s)")] == []
    assert "500 mutants of good requests, 1 worker(s)" in names
    assert "10,000 hostile requests, 1 worker(s)" in names
    usual = [name for part in TOGETHER["fuzz"] for name, _ in odd_requests.rounds_of(part, None, 100)]
    assert len(usual) == 2 * len(names)
