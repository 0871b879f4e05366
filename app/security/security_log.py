"""`logs/security.log`: one line an event, for people and log shippers. No secret, token or prompt belongs here.

A line is `time level event key=value …`. Values that are not plain words stand as JSON strings in ASCII, so no input
can begin a line or a key of its own. A line that cannot be written fails nothing.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
from datetime import UTC, datetime
from pathlib import Path

LOG = logging.getLogger("app.security")
PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]{1,200}")


class SecurityLog:
    """Writes events. Follows the file when a log shipper rotates it (logging.handlers.WatchedFileHandler)."""

    def __init__(self, path: Path) -> None:
        self._handler = _PatientHandler(path, encoding="ascii", delay=True)
        self._handler.setFormatter(logging.Formatter("%(message)s"))

    def event(self, name: str, /, *, level: str = "INFO", **fields: object) -> None:
        """One line now. Fields that are None are left out; long values are cut at 200 characters."""
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        words = [time, level, name, *(f"{key}={_plain(value)}" for key, value in fields.items() if value is not None)]
        self._handler.handle(logging.LogRecord("security", logging.INFO, "", 0, " ".join(words), None, None))

    def close(self) -> None:
        self._handler.close()


class _PatientHandler(logging.handlers.WatchedFileHandler):
    """Says once on the service's own output that lines are lost, and goes on trying."""

    _told = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # reopening after a rotation failed
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        if not self._told:
            LOG.warning("The security log %s cannot be written: events are lost until it can.", self.baseFilename)
        self._told = True


def _plain(value: object) -> str:
    text = str(value)
    if PLAIN.fullmatch(text):
        return text
    return json.dumps(text[:200], ensure_ascii=True)
