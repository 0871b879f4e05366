"""`logs/security.log`: one line an event, for people and log shippers. No secret, token or prompt belongs here.

A line is `time level event key=value …`. Values that are not plain words stand as JSON strings in ASCII, so no input
can begin a line or a key of its own. A line that cannot be written is counted, and fails nothing.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
from datetime import UTC, datetime
from pathlib import Path

PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]{1,200}")


class SecurityLog:
    """Writes events. Follows the file when a log shipper rotates it (logging.handlers.WatchedFileHandler)."""

    def __init__(self, path: Path) -> None:
        self._handler = _CountingHandler(path, encoding="ascii", delay=True)
        self._handler.setFormatter(logging.Formatter("%(message)s"))

    @property
    def unwritten(self) -> int:
        """Lines lost since the start because the file could not be written."""
        return self._handler.unwritten

    def event(self, name: str, /, *, level: str = "INFO", **fields: object) -> None:
        """One line now. Fields that are None are left out; long values are cut at 200 characters."""
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        words = [time, level, name, *(f"{key}={_plain(value)}" for key, value in fields.items() if value is not None)]
        self._handler.handle(logging.LogRecord("security", logging.INFO, "", 0, " ".join(words), None, None))

    def close(self) -> None:
        self._handler.close()


class _CountingHandler(logging.handlers.WatchedFileHandler):
    unwritten = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # reopening after a rotation failed
            self.unwritten += 1

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        self.unwritten += 1


def _plain(value: object) -> str:
    text = str(value)
    if PLAIN.fullmatch(text):
        return text
    return json.dumps(text[:200], ensure_ascii=True)
