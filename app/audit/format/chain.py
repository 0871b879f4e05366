"""How records are linked: each one names the hash of the record before it."""

from __future__ import annotations

from collections.abc import Sequence

from .record import MAX_LINE_BYTES, Draft, LogEnd, Receipt, begins_as_record, computed_hash, line_ending, line_of, seq_of


def link(drafts: Sequence[Draft], end: LogEnd, timestamp: str) -> tuple[bytes, list[Receipt], LogEnd]:
    """The lines that follow *end*, one receipt for each draft, and the new end of the log."""
    size, seq, prev_hash = end.size, end.seq, end.hash
    lines: list[bytes] = []
    receipts: list[Receipt] = []
    for record in drafts:
        seq += 1
        line, prev_hash = line_of(record, seq, timestamp, prev_hash)
        size += len(line)
        lines.append(line)
        receipts.append(Receipt(seq, prev_hash))
    return b"".join(lines), receipts, LogEnd(size, seq, prev_hash)


def next_log_end(line: bytes, end: LogEnd) -> LogEnd | None:
    """The end of the log after *line*; None if *line* is not a whole record that follows *end*."""
    if not begins_as_record(line) or seq_of(line) != end.seq + 1 or len(line) > MAX_LINE_BYTES:
        return None
    digest = computed_hash(line)
    if not line.endswith(line_ending(digest, end.hash)):
        return None
    return LogEnd(end.size + len(line), end.seq + 1, digest)
