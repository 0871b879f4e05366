"""What a process has handed out of its advances and not told the store: in memory that outlives it.

It stands in two files, which take turns: one holds what an exchange tells of, the other what comes
meanwhile. A line that is not whole was not handed out. A loss of power takes them: then the budgets
are computed from the log, which had not heard of a question whose line it took.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import orjson

from .reservations import Pot
from .store import OpenRow

NAME = "limits-handed-out"
"""As all files of the folder are named: the last process that leaves it removes them."""


class NotesLost(Exception):
    """Says why, for an operator."""


class Notes:
    """Of one process. Opened after the fork."""

    def __init__(self, folder: Path) -> None:
        """*folder*: in memory, and the same for all processes that share the store."""
        self._folder = folder
        self._fds: list[int] = []
        self._own = 0
        self._turn = 0
        self.last = 0
        """The number of the last reservation."""

    def open(self, owner: int) -> None:
        """Empty, and for *owner* from now on. Raises OSError."""
        self.close()
        self._own = owner
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        for path in self._paths(owner):
            self._fds.append(os.open(path, flags, 0o600))

    def write(self, key: str, after: int, amounts: list[tuple[str, str, int]]) -> int:
        """The number of the reservation. Raises OSError: then it must not be handed out."""
        number = self.last + 1
        line = orjson.dumps((number, key, after, amounts)) + b"\n"
        if os.write(self._fds[self._turn], line) < len(line):
            raise OSError("a note was cut off")
        self.last = number
        return number

    def turn(self) -> None:
        """What was written before is told with this exchange; what the other file has was told."""
        with suppress(OSError):
            os.ftruncate(self._fds[1 - self._turn], 0)
            self._turn = 1 - self._turn

    def of(self, owner: int) -> list[tuple[int, OpenRow]]:
        """What a dead *owner* had handed out, with the numbers. Raises NotesLost."""
        try:
            return [note for path in self._paths(owner) for note in _notes_in(path.read_bytes(), owner)]
        except (OSError, ValueError, TypeError) as error:
            raise NotesLost(f"what a process handed out before it died cannot be read: {error}") from error

    def remove(self, owner: int) -> None:
        for path in self._paths(owner):
            with suppress(OSError):
                path.unlink()

    def close(self, *, are_told: bool = True) -> None:
        """The files stay where the store was not told of all that stands in them."""
        for fd in self._fds:
            os.close(fd)
        if self._fds and are_told:
            self.remove(self._own)
        self._fds = []

    def _paths(self, owner: int) -> list[Path]:
        return [self._folder / f"{NAME}.{owner}.{turn}" for turn in (0, 1)]


def _notes_in(data: bytes, owner: int) -> Iterator[tuple[int, OpenRow]]:
    for line in data.splitlines(keepends=True):
        if line.endswith(b"\n"):
            number, key, after, amounts = orjson.loads(line)
            yield number, OpenRow(key, owner, after, {Pot(budget, period): amount for budget, period, amount in amounts})
