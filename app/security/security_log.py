"""`logs/security.log`: one line for each security event, for people and log shippers.

A line is `time level event key=value …`. A value that is not a plain word is written as a JSON
string in ASCII, so no input can begin a line or a key of its own. A line must hold no secret, no
token and no prompt. A thread writes the lines: a file that hangs or fails stops no request.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ..kit.line_writer import HANGS, LineWriter
from ..kit.moments import now_utc
from .security_file import SecurityFile

LOG = logging.getLogger("app.security")
MAX_VALUE_CHARS = 200
_PLAIN_WORD = re.compile(rf"[A-Za-z0-9_.:/@+-]{{1,{MAX_VALUE_CHARS}}}")


class SecurityLog:
    """Appends events. Opens the file again after a log shipper has rotated it."""

    def __init__(self, path: Path) -> None:
        self._path = path.absolute()
        self._writer = LineWriter(partial(SecurityFile, self._path), _lost_line, self._warn)

    def event(self, name: str, /, *, level: str = "INFO", **fields: object) -> None:
        """Hand in one line. Never blocks and never fails: lines that are lost are counted.

        Fields that are None are left out; values are cut at 200 characters.
        """
        self._writer.put(_line(name, level, fields))

    def count_losses(self, on_lost: Callable[[int], None]) -> None:
        """*on_lost* gets the number of events that were lost, whenever some are."""
        self._writer.count_losses(on_lost)

    def flush(self) -> bool:
        """Wait for a second at most until all events are in the file. False: they are not."""
        return self._writer.flush()

    def reopen(self) -> None:
        """Write to the file that is at the path now, even if the old one hangs."""
        self._writer.reopen()

    def close(self) -> None:
        if not self._writer.close():
            self._warn(HANGS)

    def _warn(self, why: str) -> None:
        LOG.warning("The security log %s cannot be written: %s. Events are lost until it can.", self._path, why)


def _line(name: str, level: str, fields: Mapping[str, object]) -> str:
    words = [now_utc(), level, name, *(f"{key}={_encoded(value)}" for key, value in fields.items() if value is not None)]
    return " ".join(words) + "\n"


def _lost_line(count: int) -> str:
    return _line("events_lost", "WARNING", {"count": count})


def _encoded(value: object) -> str:
    text = str(value)
    if _PLAIN_WORD.fullmatch(text):
        return text
    return json.dumps(text[:MAX_VALUE_CHARS], ensure_ascii=True)
