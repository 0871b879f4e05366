"""Amounts of this minute and of the last one, in files that all processes append to and read.

As `shared_hits.py`, but what is counted has a size, which may be corrected later. A process may be
killed at any time: what is no whole entry at the end of a file counts for nothing.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from .shared_folder import entries_from, open_shared, write_whole
from .shared_hits import MINUTE

ENTRY = struct.Struct("=16sdq")
"""The digest of a key, a time, and an amount, which may be negative."""


class _Minute:
    """The file of one minute, and the sums in it: of each key, by second."""

    def __init__(self, path: Path, number: int) -> None:
        """Raises OSError."""
        self.number = number
        self.sums: dict[bytes, dict[int, int]] = {}
        self._fd, self._end = open_shared(Path(f"{path}.{number}")), 0

    def read(self) -> None:
        for data in entries_from(self._fd, self._end, ENTRY.size):
            self._take_in(data)

    def add(self, entry: bytes) -> None:
        write_whole(self._fd, entry, self._end)
        self._take_in(entry)

    def _take_in(self, data: bytes) -> None:
        for key, at, amount in ENTRY.iter_unpack(data):
            seconds = self.sums.setdefault(key, {})
            seconds[int(at)] = seconds.get(int(at), 0) + amount
        self._end += len(data)

    def close(self) -> None:
        os.close(self._fd)


class SharedAmounts:
    """The caller holds the lock for each call. Raises OSError.

    A window reaches back to the second of a minute ago, so it is up to a second longer than one.
    """

    def __init__(self, path: Path) -> None:
        """*path* begins the names of its files."""
        self._path = path
        self._minutes: list[_Minute] = []

    def read(self, now: float) -> None:
        """Take in what others wrote. Files that no window reaches are removed."""
        minute = int(now // MINUTE)
        if [one.number for one in self._minutes] != [minute - 1, minute]:
            self._turn(minute)
        for one in self._minutes:
            one.read()

    def window(self, key: bytes, now: float) -> dict[int, int]:
        """The sum of each second that counts now, the oldest first."""
        first = int(now) - MINUTE
        found = [(second, amount) for one in self._minutes for second, amount in one.sums.get(key, {}).items()]
        return dict(sorted((second, amount) for second, amount in found if second >= first))

    def add(self, key: bytes, at: float, amount: int) -> None:
        """Nothing happens where *at* is too long ago for any window."""
        for one in self._minutes:
            if one.number == int(at // MINUTE):
                one.add(ENTRY.pack(key, at, amount))

    def close(self) -> None:
        for one in self._minutes:
            one.close()
        self._minutes = []

    def _turn(self, minute: int) -> None:
        kept = [one for one in self._minutes if one.number in (minute - 1, minute)]
        for one in self._minutes:
            if one not in kept:
                one.close()
        self._minutes = kept
        numbers = {one.number for one in kept}
        self._minutes += [_Minute(self._path, number) for number in (minute - 1, minute) if number not in numbers]
        self._minutes.sort(key=lambda one: one.number)
        for file in self._path.parent.glob(f"{self._path.name}.*"):
            if int(file.suffix[1:]) < minute - 1:
                file.unlink(missing_ok=True)
