"""The marks in the lock file: the durable end, whether a sync runs, the written end, the reach.

They are lines of fixed width. They describe what this machine's page cache holds, so they need no
sync themselves: a mark may lag behind the log, and then the log's own bytes decide.
"""

from __future__ import annotations

import os
import re
import zlib
from contextlib import suppress
from typing import NamedTuple

from ...kit.durable_files import write_at
from ..format.record import LogEnd

MARK = re.compile(rb"((\d{20}) (-?\d{19,20}) ([0-9a-f]{64})) ([0-9a-f]{8})\n")
MARK_BYTES = 116
QUIET, SYNCING = b"-\n", b"s\n"
WRITTEN_AT = MARK_BYTES + len(QUIET)
REACH = re.compile(rb"(\d{20}) ([0-9a-f]{8})\n")
REACH_AT = WRITTEN_AT + MARK_BYTES
REACH_BYTES = 30


def mark_of(end: LogEnd) -> bytes:
    """`size seq hash check`: bytes, number and hash of the last record, and a CRC-32 of these.

    The CRC is for readers without a lock, who may read a mark that is half written.
    """
    text = b"%020d %020d %b" % (end.size, end.seq, end.hash.encode())
    return b"%b %b\n" % (text, _check(text))


def parse_mark(data: bytes) -> LogEnd | None:
    """The mark that *data* begins with. None: never written, half written, torn by a power loss."""
    found = MARK.match(data)
    if found is None or _check(found[1]) != found[5]:
        return None
    return LogEnd(int(found[2]), int(found[3]), found[4].decode())


def _check(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)


class MarksRead(NamedTuple):
    """All marks. *written* may be None without the write lock: a writer may be replacing it."""

    durable: LogEnd | None
    is_sync_unfinished: bool
    """A sync began and never ended: it failed, or its process died. Its pages may be lost."""
    written: LogEnd | None


class Marks:
    """The marks behind the descriptor of a lock file.

    A mark that cannot be written is left to lag; the next writer who meets it corrects it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._last: tuple[bytes, LogEnd] | None = None  # nearly always the next one that is read

    def durable(self) -> LogEnd | None:
        return self._parsed(os.pread(self._fd, MARK_BYTES, 0))

    def written(self) -> LogEnd | None:
        return self._parsed(os.pread(self._fd, MARK_BYTES, WRITTEN_AT))

    def read(self) -> MarksRead:
        data = os.pread(self._fd, WRITTEN_AT + MARK_BYTES, 0)
        is_sync_unfinished = data[MARK_BYTES:WRITTEN_AT] == SYNCING
        return MarksRead(self._parsed(data[:MARK_BYTES]), is_sync_unfinished, self._parsed(data[WRITTEN_AT:]))

    def set_written(self, end: LogEnd) -> None:
        self._write(self._text(end), WRITTEN_AT)

    def begin_sync(self) -> None:
        """Raises OSError: without this mark, nobody would notice that a sync never ended."""
        write_at(self._fd, SYNCING, MARK_BYTES)

    def begin_sync_of(self, written: LogEnd) -> None:
        """`set_written`, then `begin_sync`, in one write. Raises OSError."""
        write_at(self._fd, SYNCING + self._text(written), MARK_BYTES)

    def end_sync(self, durable: LogEnd) -> None:
        self._write(self._text(durable) + QUIET, 0)

    def reach(self) -> int | None:
        """No writer of ours wrote past this byte. None: unknown."""
        found = REACH.match(os.pread(self._fd, REACH_BYTES, REACH_AT))
        if found is None or _check(found[1]) != found[2]:
            return None
        written = self.written()  # an earlier version sets no reach
        return max(int(found[1]), written.size if written else 0)

    def set_reach(self, size: int) -> None:
        """Before a write. Raises OSError: without this mark, it would look like a stranger's."""
        text = b"%020d" % size
        write_at(self._fd, b"%b %b\n" % (text, _check(text)), REACH_AT)

    def set_durable(self, end: LogEnd) -> None:
        """The log ends at *end*, written and durable, and no sync runs."""
        self.set_written(end)
        self.end_sync(end)

    def _parsed(self, data: bytes) -> LogEnd | None:
        if self._last is not None and data == self._last[0]:
            return self._last[1]
        parsed = parse_mark(data)
        if parsed is not None:
            self._last = (data, parsed)
        return parsed

    def _text(self, end: LogEnd) -> bytes:
        if self._last is None or self._last[1] is not end:
            self._last = (mark_of(end), end)
        return self._last[0]

    def _write(self, data: bytes, offset: int) -> None:
        with suppress(OSError):
            write_at(self._fd, data, offset)
