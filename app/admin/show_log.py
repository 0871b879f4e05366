"""The audit log for people: show, tail. Reads only; the lock is held for one look at the length."""

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

FOLLOW_SECONDS = 0.3


def _open() -> AuditLog:
    settings = load_settings()
    verify_setup(settings)
    return open_audit(settings)


def records(request_id: str | None = None) -> Iterator[dict[str, Any]]:
    """All records, or those of one request. A line that is not JSON stands as {"unreadable": text}."""
    needle = f'"request_id":"{request_id}"'.encode() if request_id else b""
    for line in _open().lines():
        if needle in line:
            record = read(line)
            if request_id is None or record.get("request_id") == request_id:
                yield record


def last_records(count: int) -> list[dict[str, Any]]:
    return [read(line) for line in deque(_open().lines(), maxlen=count)]


def follow(count: int) -> Iterator[dict[str, Any]]:
    """The last *count* records, then new ones as they come, until interrupted."""
    log = _open()
    seen = log.size()
    yield from map(read, deque(log.lines(end=seen), maxlen=count))
    while True:
        end = log.size()
        for line in log.lines(start=seen, end=end):
            yield read(line)
        seen = end
        time.sleep(FOLLOW_SECONDS)


def read(line: bytes) -> dict[str, Any]:
    """The record of a stored line, or {"unreadable": text}."""
    try:
        return parse_line(line)
    except ValueError:
        return {"unreadable": line.decode("utf-8", "replace").rstrip("\n")}
