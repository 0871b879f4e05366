"""What a process of the service says on stdout and stderr. A pipe that nobody reads stops nothing.

Call `open_output` once, in the parent: it holds in forked children too.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable
from types import TracebackType

from ..kit import json_lines
from ..kit.descriptor import DescriptorOutput
from ..kit.line_writer import LineWriter
from ..kit.repeated_lines import RepeatFilter

LOG = logging.getLogger("app.serving")
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class ServiceOutput:
    """The process's stdout and stderr, each with a thread that may hang in place of the process."""

    def __init__(self, *, as_json: bool = False) -> None:
        """*as_json*: each line of stderr is a JSON object."""
        self._as_json = as_json
        self._stdout = LineWriter(lambda: DescriptorOutput(1), _lost_line)
        self._stderr = LineWriter(lambda: DescriptorOutput(2), _lost_json if as_json else _lost_line)

    def capture(self) -> None:
        """From now on logging, warnings and tracebacks use the thread, too."""
        handler = _Handler(self._stderr)
        handler.setFormatter(json_lines.JsonFormatter() if self._as_json else logging.Formatter(FORMAT))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        sys.stderr = _Stream(self._stderr, json_lines.from_stderr if self._as_json else str)
        if self._as_json:
            logging.captureWarnings(True)
            sys.excepthook, threading.excepthook = _log_uncaught, _log_uncaught_in_thread

    def say(self, line: str) -> None:
        """One line on stdout."""
        self._stdout.put(line + "\n")

    def count_losses(self, on_lost: Callable[[int], None]) -> None:
        """*on_lost* gets the number of messages that were lost, whenever some are."""
        self._stdout.count_losses(on_lost)
        self._stderr.count_losses(on_lost)

    def flush(self) -> None:
        """Wait for a second at most, per output, until all is written."""
        self._stdout.flush()
        self._stderr.flush()


def open_output() -> ServiceOutput:
    """In the form that LOG_FORMAT names in the environment."""
    output = ServiceOutput(as_json=json_lines.is_wanted())
    output.capture()
    return output


class _Handler(logging.Handler):
    """Hands each message over as one piece. At the end of a process, logging flushes it."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer
        self._repeats = RepeatFilter(self.handle_report)
        self.addFilter(self._repeats)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.put(self.format(record) + "\n")
        except Exception:  # noqa: BLE001 - who logs a message must not fail because of it; logging shows why
            self.handleError(record)

    def handle_report(self, record: logging.LogRecord) -> None:
        """Past the filter, which has counted these lines already."""
        with self.lock or threading.RLock():
            self.emit(record)

    def flush(self) -> None:
        self._repeats.report_hidden()
        self._writer.flush()


class _Stream(io.TextIOBase):
    """In place of sys.stderr: warnings, tracebacks, and what a library prints."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, writer: LineWriter, form: Callable[[str], str] = str) -> None:
        """*form*: from whole lines to what is written."""
        self._writer, self._form = writer, form
        self._begun = threading.local()  # a line without its end, per thread

    def write(self, text: str) -> int:
        whole, end, rest = (getattr(self._begun, "text", "") + text).rpartition("\n")
        self._begun.text = rest
        if end:
            self._writer.put(self._form(whole + end))
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


def _lost_line(count: int) -> str:
    return f"{count} message(s) were lost here: this output took no more.\n"


def _lost_json(count: int) -> str:
    return json_lines.json_line("WARNING", __name__, _lost_line(count).rstrip())


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    LOG.critical("An error that nothing caught ended the process.", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(ended: threading.ExceptHookArgs) -> None:
    if ended.exc_value is not None and ended.exc_type is not SystemExit:
        what = (ended.exc_type, ended.exc_value, ended.exc_traceback)
        LOG.critical("An error that nothing caught ended a thread.", exc_info=what)
