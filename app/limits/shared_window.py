"""A storage for `limits` that all processes of one machine share, on a clock that cannot be set.

The memory storage of `limits` counts for each process alone, and on the wall clock: a clock that is
set back a day locks callers out for a day. The hits of this one are dated by CLOCK_MONOTONIC, which
all processes share. They survive `kill -9` of any process; the last one to close it removes them.
"""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from limits.storage import MovingWindowSupport, Storage

from .shared_folder import SharedFolder, folder_of, write_whole
from .shared_hits import MINUTE, SharedHits

WINDOW_SCHEME = "window"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
UNPROVEN = "unproven"
"""Begins the keys of callers who are not proven. They fill files of their own."""
MOST_HITS, MOST_UNPROVEN_HITS = 1 << 40, 1 << 15
"""In a minute. Hits of principals are bounded by their limits, and by the memory."""
TIME = struct.Struct("=d")


def shared_window_url(log: Path) -> str:
    """The storage URL of all processes that serve *log*. Raises ConfigError.

    It names the boot: the clock begins at zero there, and a folder for temporary files may stay.
    """
    boot = ""
    with suppress(OSError):
        boot = BOOT_ID.read_text()[:8]
    return f"{WINDOW_SCHEME}://{folder_of(log)}/limits-1-{boot}"


@lru_cache(4096)
def digest_of(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).digest()


class WindowStorage(MovingWindowSupport, Storage):
    """Windows of a minute. Not for several threads of one process. Raises OSError."""

    STORAGE_SCHEME = [WINDOW_SCHEME]  # noqa: RUF012 - limits declares it so
    base_exceptions = OSError

    def __init__(
        self,
        uri: str,
        wrap_exceptions: bool = False,
        clock: Callable[[], float] = time.monotonic,
        **_: float | str | bool,
    ) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)
        path = Path(uri.removeprefix(f"{WINDOW_SCHEME}://"))
        self.shared = SharedFolder(path.parent)
        self._clock = clock
        self._proven = SharedHits(path, MOST_HITS)
        self._unproven = SharedHits(path.with_name(f"{path.name}-{UNPROVEN}"), MOST_UNPROVEN_HITS)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """As `hit`."""
        return self.hit(key, limit, amount)[0]

    def hit(self, key: str, limit: int, amount: int = 1) -> tuple[bool, float, int]:
        """Add *amount* hits if at most *limit* are then in the last minute, else none.

        None, too, while all who are not proven have had MOST_UNPROVEN_HITS in this minute. Whether
        they were added, and then what `get_moving_window` says.
        """
        hits, digest = self._hits(key), digest_of(key)
        with self.shared:
            now = self._read(hits)
            oldest, count = hits.window(digest, now)
            is_added = count + amount <= limit and hits.add(digest, now, amount)
        return is_added, oldest, count + amount * is_added

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest hit of the last minute was, and how many there are."""
        hits = self._hits(key)
        return hits.window(digest_of(key), self._catch_up(hits))

    def give_back(self, key: str) -> None:
        """Take the newest hit away."""
        hits = self._hits(key)
        with self.shared:
            hits.add(digest_of(key), -self._read(hits))

    def take(self, capacity: int, per_second: float) -> float:
        """Take one from the bucket of all who are not proven; it is filled by *per_second*.

        0.0 if there was one, else the seconds until there is.
        """
        with self.shared:
            now, fd = self._clock(), self.shared.fd
            (full_at,) = TIME.unpack(os.pread(fd, TIME.size, 0) or bytes(TIME.size))
            is_filling = now < full_at <= now + capacity / per_second
            # Rounded, because after days of uptime a time has only nine digits after the point.
            level = round(capacity - (full_at - now) * per_second, 6) if is_filling else capacity
            if level < 1:
                return (1 - level) / per_second
            write_whole(fd, TIME.pack(now + (capacity - level + 1) / per_second), 0)
            return 0.0

    def forget_old(self) -> None:
        """Forget every hit that no window reaches any more."""
        for hits in (self._proven, self._unproven):
            self._catch_up(hits)

    def probe(self) -> None:
        """Whether a hit can be written. Raises OSError where it cannot."""
        self.give_back("")

    def close(self) -> None:
        """The last process to close it removes its files."""
        self._proven.close()
        self._unproven.close()
        self.shared.close()

    def _hits(self, key: str) -> SharedHits:
        hits = self._unproven if key.startswith(UNPROVEN) else self._proven
        if self._clock() // MINUTE != hits.minute:
            self._catch_up(hits)
        return hits

    def _catch_up(self, hits: SharedHits) -> float:
        """Without the lock, because after a start there may be much to read. The time it is at."""
        while not hits.read(now := self._clock()):
            with self.shared:
                pass  # who took the time in the minute before this one has written now
            hits.turn(now)
        return now

    def _read(self, hits: SharedHits) -> float:
        """The time, by a clock that was read under the lock: no hit of others is later."""
        now = self._clock()
        if not hits.read(now):
            hits.turn(now)
        return now

    # `limits` asks every storage for more. Only the moving window is used here.

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"this storage keeps moving windows of {MINUTE} s only")

    incr = get = get_expiry = check = reset = clear = _refuse
