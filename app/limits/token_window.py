"""A storage for `limits` that counts tokens: sums of the last minute, over all processes.

What a question may use is counted when it begins, and corrected when its answer is over.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from limits.storage import MovingWindowSupport, Storage

from .shared_amounts import SharedAmounts
from .shared_folder import SharedFolder
from .shared_hits import MINUTE
from .shared_window import digest_of

SCHEME = "tokens"


class TokenStorage(MovingWindowSupport, Storage):
    """Windows of a minute. Not for several threads of one process. Raises OSError."""

    STORAGE_SCHEME = [SCHEME]  # noqa: RUF012 - limits declares it so
    base_exceptions = OSError

    def __init__(self, uri: str, clock: Callable[[], float] = time.monotonic, **_: Any) -> None:
        super().__init__(uri)
        path = Path(uri.removeprefix(f"{SCHEME}://"))
        self._shared, self._amounts, self._clock = SharedFolder(path.parent), SharedAmounts(path), clock
        self.added_at = 0.0
        """When the last amount was added: `correct` needs it."""

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Add *amount* if at most *limit* are then in the last minute, else nothing."""
        digest = digest_of(key)
        with self._shared:
            now = self._read()
            if sum(self._amounts.window(digest, now).values()) + amount > limit:
                return False
            self._amounts.add(digest, now, amount)
            self.added_at = now
            return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest amount of the last minute was added, and their sum."""
        now, seconds = self._look(key)
        return float(next(iter(seconds), now)), sum(seconds.values())

    def correct(self, key: str, at: float, difference: int) -> None:
        """Add *difference* to what was added *at*."""
        with self._shared:
            self._read()
            self._amounts.add(digest_of(key), at, difference)

    def seconds_until(self, key: str, limit: int, amount: int) -> int:
        """How long until *amount* fits, if nothing is added: at least 1."""
        now, seconds = self._look(key)
        total = sum(seconds.values())
        for second, freed in seconds.items():
            total -= freed
            if total + amount <= limit:
                return max(1, math.ceil(second + MINUTE + 1 - now))
        return 1

    def close(self) -> None:
        """The last process to close it removes its files."""
        self._amounts.close()
        self._shared.close()

    def _look(self, key: str) -> tuple[float, dict[int, int]]:
        with self._shared:
            now = self._read()
            return now, self._amounts.window(digest_of(key), now)

    def _read(self) -> float:
        """The time, by a clock that was read under the lock."""
        now = self._clock()
        self._amounts.read(now)
        return now

    # `limits` asks every storage for more. Only the moving window is used here.

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"this storage keeps moving windows of {MINUTE} s only")

    incr = get = get_expiry = check = reset = clear = _refuse
