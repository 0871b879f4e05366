"""Reads the end of the log's file: the last whole record, and a torn tail after it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ...errors import AuditCorrupt
from ...kit.command import command
from ...kit.durable_files import read_at, sync_folder, write_at, write_file
from ..format.chain import next_log_end
from ..format.record import EMPTY, MAX_LINE_BYTES, LogEnd, end_before, may_become_record, split_lines
from .store import Recovery

BLOCK = 4096
"""Bytes that a disk loses together; also the size of a page in memory."""
PIECE = 8 << 20
"""Bytes that are read at once."""
NEW_LOG = f"if that is intended, {command('init --new-log')} starts another and records where this one ended"


# --- after the durable end -----------------------------------------------------------------------


def end_of_records(fd: int, durable: LogEnd, size: int) -> LogEnd:
    """The end of the whole records that follow *durable* in the first *size* bytes."""
    end = durable
    while (after := _end_of_next_piece(fd, end, size)) != end:
        end = after
    return end


def make_durable(fd: int, durable: LogEnd, size: int) -> LogEnd:
    """`end_of_records`, and these records durable.

    They are written again before the sync: an earlier one may have failed, and then the kernel
    considers their pages clean and would not write them.
    """
    start = durable.size // BLOCK * BLOCK
    write_at(fd, read_at(fd, start, durable.size), start)
    end = durable
    while (after := _end_of_next_piece(fd, end, size)) != end:
        write_at(fd, read_at(fd, end.size, after.size), end.size)
        end = after
    os.fdatasync(fd)
    return end


def _end_of_next_piece(fd: int, end: LogEnd, size: int) -> LogEnd:
    """The end of the whole records in the next piece; *end* itself if there is none."""
    return end_of_lines(read_at(fd, end.size, min(size, end.size + PIECE)), end)


def end_of_lines(data: bytes, end: LogEnd) -> LogEnd:
    """The end of the whole records that *data* begins with and that follow *end*."""
    for line in split_lines([data]):
        after = next_log_end(line, end)
        if after is None:
            break
        end = after
    return end


# --- without a mark ------------------------------------------------------------------------------


def end_of_last_line(fd: int, size: int, path: Path) -> LogEnd:
    """The end of the last whole line. Raises AuditCorrupt if that is not a record."""
    start = max(0, size - 2 * MAX_LINE_BYTES)
    window = read_at(fd, start, size)
    end = window.rfind(b"\n") + 1  # a torn tail may follow
    line = window[window.rfind(b"\n", 0, end - 1) + 1 : end] if end else b""
    before = end_before(line, start + end - len(line))
    if before is not None and (found := next_log_end(line, before)) is not None:
        return found
    raise AuditCorrupt(f"The last line of the audit log {path} is not a record. Restore it; {NEW_LOG}.")


def end_of_chain(fd: int, size: int, path: Path) -> LogEnd:
    """`end_of_last_line`, where all lines of the last piece must follow each other.

    For a log whose durable end is unknown: after a power loss, whole sectors of what was not
    synced may be missing before the last line. Raises AuditCorrupt.
    """
    last = end_of_last_line(fd, size, path)
    start = max(0, last.size - PIECE)
    lines = list(split_lines([read_at(fd, start, last.size)]))
    end: LogEnd | None = EMPTY
    if start:  # the piece begins inside a line; the line after that says what it follows
        end, lines = end_before(lines[1], start + len(lines[0])), lines[1:]
    for line in lines:
        end = end and next_log_end(line, end)
    if end != last:
        raise AuditCorrupt(f"The end of the audit log {path} does not chain. Restore it; {NEW_LOG}.")
    return last


# --- a torn tail ---------------------------------------------------------------------------------


def is_torn_record(fd: int, end: LogEnd, size: int) -> bool:
    """Whether the bytes after *end* can be the beginning of the next record, without its end."""
    if not end.size < size < end.size + MAX_LINE_BYTES:
        return False
    data = read_at(fd, end.size, size)
    return b"\n" not in data and may_become_record(data, end.seq + 1)


def set_aside(fd: int, end: LogEnd, size: int, path: Path) -> Recovery:
    """Copy the torn tail after *end* to a file beside the log; durable on return."""
    name = free_name(path, f"torn-after-{end.seq}")
    digest = hashlib.sha256()

    def pieces() -> Iterator[bytes]:
        for start in range(end.size, size, PIECE):
            piece = read_at(fd, start, min(size, start + PIECE))
            digest.update(piece)
            yield piece

    write_file(path.with_name(name), pieces())
    sync_folder(path.parent)
    return Recovery(size - end.size, digest.hexdigest(), name)


def free_name(path: Path, what: str) -> str:
    """`audit_log.<what>.<now>.jsonl`."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    return f"{path.stem}.{what}.{stamp}{path.suffix}"
