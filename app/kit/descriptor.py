"""Writes lines to a file descriptor: whole, unmixed with other processes' lines, and counted."""

from __future__ import annotations

import os
import select
from itertools import accumulate

PIPE_BYTES = 4096
"""A write to a pipe of at most so many bytes is not mixed with others (PIPE_BUF on Linux)."""


class NotWritten(Exception):
    """*lost* lines were not written; *why* completes "cannot be written:"."""

    def __init__(self, lost: int, why: str) -> None:
        super().__init__(why)
        self.lost, self.why = lost, why


class DescriptorOutput:
    """Lines for an open file descriptor, which is left open at the end."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._is_torn = False  # the last line lacks its end

    def write(self, lines: list[str]) -> None:
        """Blocks for as long as the descriptor does. Raises NotWritten."""
        chunk: list[bytes] = []
        size = 0
        for number, line in enumerate(lines):
            data = line.encode("utf-8", "backslashreplace")
            if chunk and size + len(data) > PIPE_BYTES:
                self._write_chunk(chunk, behind=len(lines) - number)
                chunk, size = [], 0
            chunk.append(data)
            size += len(data)
        self._write_chunk(chunk, behind=0)

    def close(self) -> None:
        """Nothing to do: the descriptor belongs to the process."""

    def _write_chunk(self, lines: list[bytes], behind: int) -> None:
        torn_end = b"\n" if self._is_torn else b""
        data, done = torn_end + b"".join(lines), 0
        try:
            while done < len(data):
                try:
                    done += os.write(self._fd, data[done:])
                except BlockingIOError:  # somebody has set O_NONBLOCK
                    _wait_until_writable(self._fd)
        except OSError as error:
            whole = sum(end <= done for end in accumulate(map(len, lines), initial=len(torn_end))) - 1
            self._is_torn = data[done - 1 : done] != b"\n" if done else self._is_torn
            raise NotWritten(len(lines) - max(0, whole) + behind, error.strerror or str(error)) from None
        self._is_torn = False


def _wait_until_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()
