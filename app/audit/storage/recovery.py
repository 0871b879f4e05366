"""What a log's file tells of its end when no mark does, or when somebody died: whole records, and a torn tail."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ...errors import AuditCorrupt
from ...kit.durable_files import read_at, sync_folder, write_at, write_file
from ..format.chain import next_log_end
from ..format.record import EMPTY, MAX_LINE_BYTES, LogEnd, end_before, split_lines
from .store import Recovery

BLOCK = 4096
PIECE = 8 << 20
NEW_LOG = "if that is intended, python -m app init --new-log starts another and records the old head"


def make_durable(fd: int, durable: LogEnd, size: int) -> LogEnd:
    """The head after the whole records past *durable*. They are dirtied anew and synced, for a sync may have failed."""
    start = durable.size // BLOCK * BLOCK
    write_at(fd, read_at(fd, start, durable.size), start)
    head = durable
    while (after := _follow(fd, head, size)) != head:
        write_at(fd, read_at(fd, head.size, after.size), head.size)
        head = after
    os.fdatasync(fd)
    return head


def followed(fd: int, head: LogEnd, size: int) -> LogEnd:
    """The head after the whole records that follow *head* in the first *size* bytes."""
    while (after := _follow(fd, head, size)) != head:
        head = after
    return head


def _follow(fd: int, head: LogEnd, size: int) -> LogEnd:
    """The head after those of the next piece; *head* itself if there is none."""
    for line in split_lines([read_at(fd, head.size, min(size, head.size + PIECE))]):
        after = next_log_end(line, head)
        if after is None:
            break
        head = after
    return head


def end_of_last_line(fd: int, size: int, path: Path) -> LogEnd:
    """The head without a mark: the last whole line must be a record. Raises AuditCorrupt if it is not."""
    start = max(0, size - 2 * MAX_LINE_BYTES)
    window = read_at(fd, start, size)
    end = window.rfind(b"\n") + 1  # a torn tail may follow
    line = window[window.rfind(b"\n", 0, end - 1) + 1 : end] if end else b""
    before = end_before(line, start + end - len(line))
    if before is not None and (head := next_log_end(line, before)) is not None:
        return head
    raise AuditCorrupt(f"The last line of the audit log {path} is not a record. Restore it; {NEW_LOG}.")


def end_of_chain(fd: int, size: int, path: Path) -> LogEnd:
    """Likewise, where nothing says how far the log was durable: all lines of its end must chain, not only the last.

    After a loss of power whole sectors of what was not synced may be missing in their midst.
    """
    head = end_of_last_line(fd, size, path)
    start = max(0, head.size - PIECE)
    lines = list(split_lines([read_at(fd, start, head.size)]))
    at: LogEnd | None = EMPTY
    if start:  # the first piece of a line is left out, and the line after it says itself what it follows
        at, lines = end_before(lines[1], start + len(lines[0])), lines[1:]
    for line in lines:
        at = at and next_log_end(line, at)
    if at != head:
        raise AuditCorrupt(f"The end of the audit log {path} does not chain. Restore it; {NEW_LOG}.")
    return head


def set_aside(fd: int, head: LogEnd, size: int, path: Path) -> Recovery:
    """Copy the torn tail after *head* to a file of its own, durable before it leaves the log."""
    name = free_name(path, f"torn-after-{head.seq}")
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for start in range(head.size, size, PIECE):
            piece = read_at(fd, start, min(size, start + PIECE))
            digest.update(piece)
            yield piece

    write_file(path.with_name(name), pieces())
    sync_folder(path.parent)
    return Recovery(size - head.size, digest.hexdigest(), name)


def free_name(path: Path, what: str) -> str:
    """`audit_log.<what>.<now>.jsonl`."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    return f"{path.stem}.{what}.{stamp}{path.suffix}"
