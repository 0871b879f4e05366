"""`logs/security.log`: one line for each security event, for people and log shippers.

A line is `time level event key=value …`. A value that is not a plain word is written as a JSON
string in ASCII, so no input can begin a line or a key of its own. A line must hold no secret, no
token and no prompt. A line that cannot be written fails no request.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import re
from datetime import UTC, datetime
from pathlib import Path

LOG = logging.getLogger("app.security")
MAX_VALUE_CHARS = 200
_PLAIN_WORD = re.compile(rf"[A-Za-z0-9_.:/@+-]{{1,{MAX_VALUE_CHARS}}}")


class SecurityLog:
    """Appends events.

    Reopens the file after a log shipper has rotated it (logging.handlers.WatchedFileHandler).
    """

    def __init__(self, path: Path) -> None:
        self._handler = _LossTolerantHandler(path, encoding="ascii", delay=True)
        self._handler.setFormatter(logging.Formatter("%(message)s"))

    def event(self, name: str, /, *, level: str = "INFO", **fields: object) -> None:
        """Write one line now.

        Fields that are None are left out; values are cut at 200 characters.
        """
        time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        words = [time, level, name, *(f"{key}={_encoded(value)}" for key, value in fields.items() if value is not None)]
        self._handler.handle(logging.LogRecord("security", logging.INFO, "", 0, " ".join(words), None, None))

    def close(self) -> None:
        self._handler.close()


class _LossTolerantHandler(logging.handlers.WatchedFileHandler):
    """Keeps trying when a line cannot be written, and warns once in the service's own output."""

    _has_warned = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except OSError:  # the file could not be reopened after a rotation
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        if not self._has_warned:
            LOG.warning("The security log %s cannot be written: events are lost until it can.", self.baseFilename)
        self._has_warned = True


def _encoded(value: object) -> str:
    text = str(value)
    if _PLAIN_WORD.fullmatch(text):
        return text
    return json.dumps(text[:MAX_VALUE_CHARS], ensure_ascii=True)
