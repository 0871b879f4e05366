"""Whether somebody looks at the records now, in memory that all processes share."""

from __future__ import annotations

import time

from ...kit.shared_words import SharedWords

WANTED_SECONDS = 60.0
"""After a search, and as long as a feed goes on, the index follows the log at once."""


class Demand:
    """Workers write it, the builder of the index reads it. Made before the fork."""

    def __init__(self) -> None:
        self._words = SharedWords(1).words

    def want(self) -> None:
        self._words[0] = round(time.monotonic() * 1000) + 1

    @property
    def is_wanted(self) -> bool:
        return bool(self._words[0]) and time.monotonic() * 1000 - self._words[0] < WANTED_SECONDS * 1000
