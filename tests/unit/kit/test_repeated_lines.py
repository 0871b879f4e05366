"""A log line that repeats is shown a few times, then counted; lines that say something else are not affected."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator

import pytest

from app.kit import repeated_lines
from app.kit.repeated_lines import SHOWN, RepeatFilter

from ...support.waiting import eventually


class Log:
    """A logger with the filter; *shown* is what passed it or was told by it."""

    def __init__(self, window_seconds: float) -> None:
        self.shown: list[str] = []
        self.filter = RepeatFilter(lambda record: self.shown.append(record.getMessage()), window_seconds)
        self.logger = logging.Logger("test")
        handler = logging.Handler()
        handler.emit = lambda record: self.shown.append(record.getMessage())  # type: ignore[method-assign]
        handler.addFilter(self.filter)
        self.logger.addHandler(handler)


@pytest.fixture
def log() -> Iterator[Log]:
    one = Log(60)
    yield one
    one.filter.report_hidden()


def test_the_same_sentence_is_shown_a_few_times_and_then_counted(log: Log) -> None:
    for number in range(197):
        log.logger.warning("upstream %s: (%d bytes, sha256 %s)", "connection failure", number, f"{number:016x}")
    assert len(log.shown) == SHOWN
    log.filter.report_hidden()
    assert log.shown[-1].startswith("upstream connection failure: (196 bytes, sha256 ")
    assert log.shown[-1].endswith(f" ({197 - SHOWN} more lines like this within 60 s)")
    log.filter.report_hidden()
    assert len(log.shown) == SHOWN + 1, "it is said once"


def test_lines_that_differ_in_more_than_numbers_are_all_shown(log: Log) -> None:
    for what in ("status 429", "status 500", "connection failure", "100% odd"):
        log.logger.warning("upstream %s: %d bytes", what, 7)
    log.logger.error("upstream %s: %d bytes", "status 429", 7)
    log.logger.warning("plain")
    assert len(log.shown) == 6


def test_failures_at_different_places_are_told_apart(log: Log) -> None:
    for number in range(2 * (SHOWN + 2)):
        try:
            _ = 1 / 0 if number % 2 else int("x")
        except ArithmeticError:
            log.logger.exception("request failed unexpectedly")
        except ValueError:
            log.logger.exception("request failed unexpectedly")
    assert len(log.shown) == 2 * SHOWN


def test_the_end_of_a_window_is_told_by_itself_and_begins_another() -> None:
    log = Log(0.1)
    for _ in range(100):
        log.logger.warning("again")
    told = re.compile(r"again(?: \((\d+) more lines like this within 0\.1 s\))?")

    def lines() -> int:
        """Those shown and those counted: a busy machine may take longer than a window for them."""
        matches = [told.fullmatch(one) for one in log.shown]
        return sum(int(one[1] or 1) for one in matches if one)

    eventually(lambda: lines() == 100)
    assert any("more lines" in one for one in log.shown)
    log.logger.warning("again")
    assert log.shown[-1] == "again"


def test_the_kinds_are_bounded_and_so_are_the_threads(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_lines, "MAX_KINDS", 10)
    before = threading.active_count()
    for number in range(100):
        log.logger.warning(f"sentence {number}")
    assert len(log.shown) == 10 + SHOWN
    assert threading.active_count() <= before + 1
    log.filter.report_hidden()
    assert log.shown[-1] == f"sentence 99 ({90 - SHOWN} other lines within 60 s)"


def test_a_message_that_does_not_fit_its_arguments_breaks_nothing(log: Log) -> None:
    for _ in range(SHOWN + 1):
        record = log.logger.makeRecord("test", logging.WARNING, "", 0, "%d bytes", ("x",), None)
        log.filter.filter(record)
    log.filter.report_hidden()
    assert log.shown == ["%d bytes (1 more lines like this within 60 s)"]
