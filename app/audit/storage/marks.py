"""The marks in the lock file, three lines of fixed width: where the durable log ends, whether a sync is under way, and where
the written log ends. They speak of the page cache of this machine, and need no sync themselves."""

from __future__ import annotations

import os
import re
import zlib
from contextlib import suppress

from ...kit.durable_files import write_at
from ..format.record import LogEnd

MARK = re.compile(rb"((\d{20}) (-?\d{19,20}) ([0-9a-f]{64})) ([0-9a-f]{8})\n")
MARK_BYTES = 116
QUIET, SYNCING = b"-\n", b"s\n"
WRITTEN_AT = MARK_BYTES + len(QUIET)


def mark_of(head: LogEnd) -> bytes:
    """`size seq hash check`: bytes, the last record's number, its hash, the CRC-32 of these: a mark is read without a lock."""
    text = b"%020d %020d %b" % (head.size, head.seq, head.hash.encode())
    return b"%b %b\n" % (text, _check(text))


def parse_mark(data: bytes) -> LogEnd | None:
    """The first of the marks. None for anything else: never written, torn by a loss of power, or just being written."""
    found = MARK.match(data)
    if found is None or _check(found[1]) != found[5]:
        return None
    return LogEnd(int(found[2]), int(found[3]), found[4].decode())


def _check(text: bytes) -> bytes:
    return b"%08x" % zlib.crc32(text)


class Marks:
    """The marks behind the descriptor of a lock file. A mark that cannot be written lags; whoever meets it mends that."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._known: tuple[bytes, LogEnd] | None = None  # the last mark that passed here: nearly always the next one read

    def durable(self) -> LogEnd | None:
        return self._parsed(os.pread(self._fd, MARK_BYTES, 0))

    def written(self) -> LogEnd | None:
        return self._parsed(os.pread(self._fd, MARK_BYTES, WRITTEN_AT))

    def read(self) -> tuple[LogEnd | None, bool, LogEnd | None]:
        """Where the log is durable, whether a sync began whose end nobody told (he died, or it failed), where it is written.

        Without the write lock the last may be None, since somebody is just writing it.
        """
        data = os.pread(self._fd, WRITTEN_AT + MARK_BYTES, 0)
        is_amiss = data[MARK_BYTES:WRITTEN_AT] == SYNCING
        return self._parsed(data[:MARK_BYTES]), is_amiss, self._parsed(data[WRITTEN_AT:])

    def _parsed(self, data: bytes) -> LogEnd | None:
        if self._known is not None and data == self._known[0]:
            return self._known[1]
        parsed = parse_mark(data)
        if parsed is not None:
            self._known = (data, parsed)
        return parsed

    def _text(self, head: LogEnd) -> bytes:
        if self._known is None or self._known[1] is not head:
            self._known = (mark_of(head), head)
        return self._known[0]

    def set_written(self, head: LogEnd) -> None:
        self._write(self._text(head), WRITTEN_AT)

    def begin_sync(self) -> None:
        """Raises OSError: without this mark, a sync that fails could be taken for one that never was."""
        write_at(self._fd, SYNCING, MARK_BYTES)

    def end_sync(self, durable: LogEnd) -> None:
        self._write(self._text(durable) + QUIET, 0)

    def set_durable(self, head: LogEnd) -> None:
        """The log ends at *head*, written and durable, and nothing is amiss."""
        self.set_written(head)
        self.end_sync(head)

    def _write(self, data: bytes, offset: int) -> None:
        with suppress(OSError):
            write_at(self._fd, data, offset)
