"""One stored record, as other systems get it: with its texts, or with digests of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from ...audit.format.record import begins_as_record, hash_of, parse_line

TEXTS = ("query", "messages", "params", "answer", "other", "delivered")
"""The members of `details` that may hold what was asked or answered."""


@dataclass(frozen=True, slots=True)
class LoggedRecord:
    line: bytes
    """As it is stored, without its newline."""
    seq: int
    timestamp: str
    request_id: str
    user_id: str | None
    action: str
    details: Mapping[str, Any]
    prev_hash: str
    hash: str
    has_texts: bool = True

    @classmethod
    def read(cls, line: bytes, *, with_texts: bool = True) -> LoggedRecord:
        """Raises ValueError for a line that is no record."""
        found = parse_line(line)
        if not begins_as_record(line) or hash_of(line) is None:
            raise ValueError("not a record")
        try:
            details = found["details"] if with_texts else without_texts(found["details"])
            named = {name: found[name] for name in ("seq", "timestamp", "request_id", "user_id", "action", "prev_hash", "hash")}
            record = cls(line.rstrip(b"\n"), details=details, has_texts=with_texts, **named)
        except KeyError:
            raise ValueError("not a record") from None
        datetime.fromisoformat(record.timestamp)  # of the right form, it may be of no day
        return record

    @property
    def members(self) -> dict[str, Any]:
        """Those of the line, in its order. Without texts the hash cannot be computed from them."""
        shown = ("seq", "timestamp", "request_id", "user_id", "action", "details", "prev_hash", "hash")
        return {"v": 1, **{name: getattr(self, name) for name in shown}}

    @property
    def moment(self) -> datetime:
        return datetime.fromisoformat(self.timestamp)


def without_texts(details: Mapping[str, Any]) -> dict[str, Any]:
    """Each text is replaced by its SHA-256 and its length, as JSON."""
    return {name: _digest(value) if name in TEXTS and value is not None else value for name, value in details.items()}


def read_all(
    lines: Iterator[bytes], since: datetime | None, until: datetime | None, *, with_texts: bool
) -> Iterator[LoggedRecord]:
    """Those written from *since* on and before *until*. Lines that are no records are left out.

    Records stand in the order of their numbers: the clock may have been set in between.
    """
    for line in lines:
        try:
            record = LoggedRecord.read(line, with_texts=with_texts)
            moment = record.moment
        except ValueError:
            continue
        if (since is None or moment >= since) and (until is None or moment < until):
            yield record


def _digest(value: Any) -> dict[str, Any]:
    data = orjson.dumps(value)
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
