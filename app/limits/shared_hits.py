"""The hits of this minute and of the last one, in files that all processes append to and read.

So each process knows all windows. A process may be killed at any time: what is no whole hit at the
end of a file counts for nothing, and the next one is written over it.
"""

from __future__ import annotations

import errno
import os
import struct
from array import array
from bisect import bisect_right
from pathlib import Path

from .shared_folder import entries_from, open_shared, write_whole

HIT = struct.Struct("=16sd")
"""The digest of a key, and a time: if negative, the newest hit of that key is taken back."""
MINUTE = 60
NONE = array("d")
NO_MINUTE = -9


class SharedHits:
    """For `add` the caller holds the lock; for `turn` they have had it in this minute.

    Raises OSError.
    """

    def __init__(self, path: Path, most: int) -> None:
        """*path* begins the names of its files. *most*: hits in one minute."""
        self._path, self._most = path, most
        self._newer: dict[bytes, array[float]] = {}
        self._older: dict[bytes, array[float]] = {}
        self._fd, self.minute, self._end = -1, NO_MINUTE, 0

    def read(self, now: float) -> bool:
        """Take in what others wrote. False: another minute has begun, which takes a `turn`."""
        if now // MINUTE != self.minute:
            return False
        self._read()
        return True

    def turn(self, now: float) -> None:
        """Go on with the file of another minute. Those that no window reaches are removed."""
        minute = int(now // MINUTE)
        if minute - 1 != self.minute:
            self._open(minute - 1)
        self._read()
        self._older = self._newer
        self._open(minute)
        self._read()
        for file in self._path.parent.glob(f"{self._path.name}.*"):
            if int(file.suffix[1:]) < minute - 1:
                file.unlink(missing_ok=True)

    def window(self, key: bytes, now: float) -> tuple[float, int]:
        """When the oldest hit of the last minute was, else *now*, and how many there are."""
        older, newer = self._older.get(key, NONE), self._newer.get(key, NONE)
        gone = bisect_right(older, now - MINUTE)
        oldest = older[gone] if gone < len(older) else newer[0] if newer else now
        return oldest, len(older) - gone + len(newer)

    def add(self, key: bytes, at: float, count: int = 1) -> bool:
        """False if there would be too many. *at* is minus the time to take the newest hit back."""
        if self._end + count * HIT.size > self._most * HIT.size:
            return False
        data = HIT.pack(key, at) * count
        write_whole(self._fd, data, self._end)
        self._take_in(data)
        return True

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self.minute = -1, NO_MINUTE

    def _open(self, minute: int) -> None:
        self.close()
        self._fd = open_shared(Path(f"{self._path}.{minute}"))
        self._newer, self.minute, self._end = {}, minute, 0

    def _read(self) -> None:
        for data in entries_from(self._fd, self._end, HIT.size):
            self._take_in(data)

    def _take_in(self, data: bytes) -> None:
        for key, at in HIT.iter_unpack(data):
            if abs(at) // MINUTE != self.minute:
                self.close()  # the next call reads it all again
                raise OSError(errno.EINVAL, "the limiter's file was changed by something else")
            times = self._newer.get(key)
            if at < 0:
                del (times or self._older.get(key, NONE))[-1:]
            elif times is None:
                self._newer[key] = array("d", (at,))
            else:
                times.append(at)
        self._end += len(data)
