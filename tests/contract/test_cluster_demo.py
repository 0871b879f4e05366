"""`make cluster-demo` says what failed, and does not pass over it. The demo itself is run by hand."""

from __future__ import annotations

import pytest

from ..cluster_demo.namespaces import unshared
from ..cluster_demo.rows import Table


def test_a_row_that_fails_is_named_in_the_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    table, told = Table(), list[str]()

    def broken() -> str:
        raise AssertionError("one record is missing")

    def later() -> str:
        told.append("ran")
        return "two\nlines"

    table.row("first", lambda: "seen")
    table.row("second", broken)
    table.row("third", later)
    assert table.verdict(3.0) == 1
    assert told == ["ran"], "the rows after it are shown, too"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["first", "ok", "seen"]
    assert "FAILED" in lines[1]
    assert "AssertionError: one record is missing" in lines[1]
    assert lines[-1] == "FAILED after 3 s: second"


def test_a_table_without_a_failure_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    table.row("first", lambda: "seen")
    assert table.verdict(3.0) == 0
    assert "every row held" in capsys.readouterr().out.splitlines()[-1]


def test_without_namespaces_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert unshared() == ([], "there is no `unshare` (Debian: util-linux, iproute2)")
