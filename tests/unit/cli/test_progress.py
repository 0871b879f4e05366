"""The progress bar appears for long work on a terminal only."""

from __future__ import annotations

import io
import sys
from contextlib import suppress

import pytest

from app.cli.progress import PROGRESS_FROM_BYTES, progress_bar

SHOW_CURSOR = "\x1b[?25h"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(total: int, monkeypatch: pytest.MonkeyPatch, *, quiet: bool = False, terminal: io.StringIO | None = None) -> str:
    stderr = Terminal() if terminal is None else terminal
    monkeypatch.setattr(sys, "stderr", stderr)
    with progress_bar(quiet=quiet) as show:
        show(total // 2, total)
        show(total, total)
    return stderr.getvalue()


def test_long_work_on_a_terminal_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert "verifying" in shown(PROGRESS_FROM_BYTES, monkeypatch)


def test_short_work_a_quiet_command_and_a_pipe_show_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(PROGRESS_FROM_BYTES - 1, monkeypatch) == ""
    assert shown(PROGRESS_FROM_BYTES, monkeypatch, quiet=True) == ""
    assert shown(PROGRESS_FROM_BYTES, monkeypatch, terminal=io.StringIO()) == ""


def test_the_bar_is_removed_when_the_work_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stderr = Terminal()
    monkeypatch.setattr(sys, "stderr", stderr)
    with suppress(KeyboardInterrupt), progress_bar(quiet=False) as show:
        show(1, PROGRESS_FROM_BYTES)
        raise KeyboardInterrupt
    assert SHOW_CURSOR in stderr.getvalue()
