"""Reads the ledger. Takes no lock that a writer needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ....errors import AuditCorrupt, LogUnreadable
from ...format.record import LogEnd, Receipt, computed_hash, hash_of
from .place import SCHEMA, LedgerPlace
from .pool import Pool
from .session import BIGINT, Lost, Refused, Row, Session, Statement
from .writer import LAST, TRUE, gone, number_in, refusal, text_in, wait_until_durable

EXISTS = Statement("exists", "SELECT to_regclass('audit.batches') IS NOT NULL")
LOOK = Statement(
    "look",
    "WITH last AS (LAST) SELECT last.*, audit.changes(), (SELECT hash FROM audit.batches WHERE last_seq = $1) "
    "FROM (SELECT 1) one LEFT JOIN last ON true".replace("LAST", LAST.sql, 1),
    (BIGINT,),
)
NOW = Statement("now", "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
LAST_LINE = Statement(
    "last_line",
    "WITH last AS (LAST) SELECT last.*, line FROM last LEFT JOIN audit.lines ON seq = last_seq".replace("LAST", LAST.sql, 1),
)
BEFORE = Statement(
    "before",
    "SELECT max(last_seq) FROM (SELECT last_seq FROM audit.batches WHERE size <= $1 ORDER BY size DESC LIMIT 1) b",
    (BIGINT,),
)
LINES = Statement("lines", "SELECT seq, ends, line FROM audit.lines WHERE seq >= $1 AND seq < $2 ORDER BY seq", (BIGINT, BIGINT))
PIECE_BYTES = 1 << 20
FIRST_LINES, MOST_LINES = 64, 2048
READ_SECONDS = 30.0


class Reader:
    """Threads may share it."""

    def __init__(self, place: LedgerPlace) -> None:
        self._pool, self._is_retired = Pool(place), place.schema != SCHEMA
        self._durable: LogEnd | None = None
        self._next = (0, 0)
        """Where the last piece ended, and the number of the line that begins there."""

    def exists(self) -> bool:
        with self._session() as session:
            return session.call(EXISTS) == [[TRUE]]

    def end(self) -> LogEnd | None:
        """The last record, perhaps not durable yet. None: there is none."""
        with self._session() as session:
            return _end(session.call(LAST))

    def look(self) -> tuple[LogEnd | None, int]:
        """The last record, and a number that changes when a stored line was changed or removed.

        Raises AuditCorrupt where what was durable is gone. What was not may be gone after a crash.
        """
        known = self._durable
        with self._session() as session:
            (row,) = session.call(LOOK, None if known is None else known.seq)
        if known is not None and text_in(row[4]) != known.hash:
            raise gone(known.seq)
        return _end([row] if row[0] is not None else []), number_in(row[3])

    def forget(self) -> None:
        """The next `durable` and `look` compare with nothing that was seen before."""
        self._durable = None

    def durable(self) -> LogEnd | None:
        """Makes its own barrier where the log has grown, so it never waits for a writer."""
        with self._session() as session:
            end, known = _end(session.call(LAST)), self._durable
            if end == known or self._is_retired:
                return end
            if known is not None and (end is None or end.seq < known.seq):
                raise gone(known.seq)
            if end is not None:
                wait_until_durable(session, Receipt(end.seq, end.hash))
            self._durable = end
            return end

    def verify_last_line(self) -> None:
        """Raises AuditCorrupt where the last record is not what was appended."""
        with self._session() as session:
            rows = session.call(LAST_LINE)  # one statement: a crash in between could take records away
        end, line = _end(rows), rows[0][3] if rows else None
        if end is not None and (line is None or not computed_hash(line) == hash_of(line) == end.hash):
            raise AuditCorrupt(f"The last record of the ledger in AUDIT_URL, {end.seq}, is not what was written. Restore it.")

    def now(self) -> float:
        with self._session() as session:
            return number_in(session.call(NOW)[0][0]) / 1e6

    def chunks(self, end: int, start: int = 0) -> Iterator[bytes]:
        """The bytes of the lines from *start* to *end*, counted as in the exported file."""
        seq, count = self._first_at(start), FIRST_LINES
        while start < end:
            with self._session() as session:
                rows = session.call(LINES, seq, seq + count, seconds=READ_SECONDS)
            if not rows:
                return
            piece, ends = _joined(rows, start), number_in(rows[-1][1])
            seq += len(rows)
            self._next = (ends, seq)
            if piece:
                yield piece[: end - start]
            count = min(MOST_LINES, max(FIRST_LINES, count * PIECE_BYTES // max(1, len(piece))))
            start = max(start, ends)  # the first lines of a long batch may end before it

    def close(self) -> None:
        self._pool.close()

    def _first_at(self, start: int) -> int:
        """The number of a line that begins at byte *start*, or not far before."""
        ends, seq = self._next
        if start == ends or start == 0:
            return seq if start else 0
        with self._session() as session:
            before = session.call(BEFORE, start)[0][0]
        return 0 if before is None else number_in(before) + 1

    @contextmanager
    def _session(self) -> Iterator[Session]:
        try:
            with self._pool.session() as session:
                yield session
        except Lost as error:
            raise _unreadable(str(error)) from error
        except Refused as error:
            raise _unreadable(refusal(error).detail.rstrip(".")) from error


def _unreadable(why: str) -> LogUnreadable:
    return LogUnreadable(f"The audit log's database cannot be read: {why}.")


def _end(rows: list[Row]) -> LogEnd | None:
    if not rows:
        return None
    seq, digest, size = rows[0][:3]
    return LogEnd(number_in(size), number_in(seq), text_in(digest))


def _joined(rows: list[Row], start: int) -> bytes:
    """The bytes from *start* on. Lines that end before it are left out."""
    lines = [(number_in(ends), line or b"") for _, ends, line in rows]
    kept = [(ends, line) for ends, line in lines if ends > start]
    if not kept:
        return b""
    begins = kept[0][0] - len(kept[0][1])
    return b"".join(line for _, line in kept)[max(0, start - begins) :]
