"""Shows a log line that repeats a few times a minute, and then says how often it came."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from traceback import walk_tb

from .process import reset_after_fork

WINDOW_SECONDS = 60.0
SHOWN = 3
"""Lines of one kind that are shown in one window."""
MAX_KINDS = 200
"""Kinds that are told apart in one window; the rest count as one kind."""
_IDENTIFIER = re.compile(r"[0-9a-f]{16,}")
Kind = tuple[object, ...]
_OTHER: Kind = ("other",)


class RepeatFilter(logging.Filter):
    """Lines are of one kind if they differ in numbers and identifiers only."""

    def __init__(self, report: Callable[[logging.LogRecord], None], window_seconds: float = WINDOW_SECONDS) -> None:
        """*report* gets one record for each kind that came more often than it was shown."""
        super().__init__()
        self._report, self._window_seconds = report, window_seconds
        self.reset_in_child()
        reset_after_fork(self)

    def reset_in_child(self) -> None:
        self._lock = threading.RLock()
        self._began = time.monotonic()
        self._seen: dict[Kind, int] = {}
        self._hidden: dict[Kind, tuple[str, int, str]] = {}  # logger, level and text of the last line
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        with self._lock:
            now = time.monotonic()
            if self._timer is None and now - self._began >= self._window_seconds:
                self._began, self._seen = now, {}
            kind = _kind_of(record)
            if kind not in self._seen and len(self._seen) >= MAX_KINDS:
                kind = _OTHER
            seen = self._seen[kind] = self._seen.get(kind, 0) + 1
            if seen <= SHOWN or not self._will_report():
                return True
            self._hidden[kind] = record.name, record.levelno, _text_of(record)
            return False

    def report_hidden(self) -> None:
        """End the window: say how many lines of each kind were not shown."""
        with self._lock:
            seen, self._seen, hidden, self._hidden = self._seen, {}, self._hidden, {}
            timer, self._timer = self._timer, None
            self._began = time.monotonic()
        if timer is not None:
            timer.cancel()
        for kind, (name, level, text) in hidden.items():
            what = "other lines" if kind == _OTHER else "more lines like this"
            text = f"{text} ({seen[kind] - SHOWN} {what} within {self._window_seconds:g} s)"
            self._report(logging.LogRecord(name, level, "", 0, text, (), None))

    def _will_report(self) -> bool:
        """Whether a timer runs that ends this window."""
        if self._timer is None:
            timer = threading.Timer(max(0.0, self._began + self._window_seconds - time.monotonic()), self.report_hidden)
            timer.daemon = True
            try:
                timer.start()
            except RuntimeError:  # the system has no thread, or the interpreter is ending
                return False
            self._timer = timer
        return True


def _kind_of(record: logging.LogRecord) -> Kind:
    given = record.args if isinstance(record.args, tuple) else (str(record.args),)
    words = tuple(_IDENTIFIER.sub("…", str(one)) for one in given if not isinstance(one, int | float))
    return record.name, record.levelno, _IDENTIFIER.sub("…", str(record.msg)), words, _place_of(record)


def _place_of(record: logging.LogRecord) -> object:
    """The class of the exception, and where it was raised."""
    if not record.exc_info or record.exc_info[0] is None:
        return None
    places = [(frame.f_code.co_filename, line) for frame, line in walk_tb(record.exc_info[2])]
    return record.exc_info[0], places[-1] if places else None


def _text_of(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit; logging reports that for the first line
        return str(record.msg)
