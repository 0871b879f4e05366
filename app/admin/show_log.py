"""The records of the audit log for people: all, those of one request, the last or the new ones.

Records are given as stored, as JSON objects: nothing is verified, and any member may be missing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..audit.format.record import parse_line
from ..audit.log import AuditLog
from ..settings import load_settings
from ..wiring.audit import open_audit
from ..wiring.start_checks import verify_setup

POLL_SECONDS = 0.3


def records(request_id: str | None = None) -> Iterator[dict[str, Any]]:
    """All records, or those of requests whose id begins with *request_id*, oldest first.

    Raises ConfigError, AuditCorrupt.
    """
    needle = f'"request_id":"{request_id}'.encode() if request_id else b""
    for line in _open_log().lines():
        if needle in line:  # most lines are never parsed
            record = read(line)
            if request_id is None or str(record.get("request_id")).startswith(request_id):
                yield record


def last_records(count: int) -> list[dict[str, Any]]:
    """Oldest first. Raises ConfigError, AuditCorrupt."""
    return [read(line) for line in deque(_open_log().lines(), maxlen=count)]


def follow(count: int) -> Iterator[dict[str, Any]]:
    """The last *count* records, then new ones as they are written; it does not end by itself."""
    log = _open_log()
    seen = log.size()
    yield from map(read, deque(log.lines(end=seen), maxlen=count))
    while True:
        end = log.size()
        for line in log.lines(start=seen, end=end):
            yield read(line)
        seen = end
        time.sleep(POLL_SECONDS)


def read(line: bytes) -> dict[str, Any]:
    """The record of a stored line, or {"unreadable": text} for a line that is not a JSON object."""
    try:
        return parse_line(line)
    except ValueError:
        return {"unreadable": line.decode("utf-8", "replace").rstrip("\n")}


def _open_log() -> AuditLog:
    settings = load_settings()
    verify_setup(settings)
    return open_audit(settings)
