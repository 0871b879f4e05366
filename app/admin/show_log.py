"""The records of the audit log for people: all, those of one request, the last or the new ones.

Records are given as stored, as JSON objects: nothing is verified, and any member may be missing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Any

from ..audit.format.record import parse_line, request_member
from ..audit.log import AuditLog
from ..settings import load_settings
from ..wiring.audit import open_audit
from ..wiring.start_checks import verify_setup

POLL_SECONDS = 0.3


def records(request_id: str | None = None, asserted_user: str | None = None) -> Iterator[dict[str, Any]]:
    """All records, oldest first. Raises ConfigError, AuditCorrupt.

    *request_id*: those of requests whose id begins so. *asserted_user*: those of questions that a
    front end asked for this user.
    """
    needle = request_member(request_id) if request_id else b""
    for line in _open_log().lines():
        if needle in line and (asserted_user is None or b'"asserted_user":{' in line):  # most lines are never parsed
            record = read(line)
            is_of_request = request_id is None or str(record.get("request_id")).startswith(request_id)
            if is_of_request and (asserted_user is None or _asserted_user_of(record) == asserted_user):
                yield record


def last_records(count: int) -> list[dict[str, Any]]:
    """Oldest first. Raises ConfigError, AuditCorrupt."""
    return [read(line) for line in deque(_open_log().lines(), maxlen=count)]


def follow(count: int) -> Iterator[dict[str, Any]]:
    """The last *count* records, then new ones as they are written; it does not end by itself."""
    log = _open_log()
    seen = log.durable_size()
    yield from map(read, deque(log.lines(end=seen), maxlen=count))
    while True:
        end = log.durable_size()
        for line in log.lines(start=seen, end=end):
            yield read(line)
        seen = end
        time.sleep(POLL_SECONDS)


def _asserted_user_of(record: dict[str, Any]) -> object:
    """The id of the user that a front end named. What a caller's text says does not count."""
    details = record.get("details")
    user = details.get("asserted_user") if isinstance(details, dict) else None
    return user.get("id") if isinstance(user, dict) else None


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
