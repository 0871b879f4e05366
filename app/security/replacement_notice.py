"""Memory in which the workers tell each other that the client database was replaced."""

from __future__ import annotations

import time

from ..kit.shared_words import SharedWords

FILE, CONTENT, CONTENT_AT, COUNT, UNTIL = range(5)
SAME_REPLACEMENT_SECONDS = 5
"""All workers see the same older content within this time."""


class ReplacementNotice:
    """Shared by all workers, so that one of them records a replacement, and all of them tell it."""

    def __init__(self) -> None:
        self._words = SharedWords(5).words

    def is_first_to_see(self, identity: int) -> bool:
        """Whether no worker has seen this file yet. The very first file of a service is no news."""
        seen = self._words[FILE]
        self._words[FILE] = identity
        return seen not in (0, identity)

    def is_first_to_see_content(self, generation: int) -> bool:
        seen, at, now = self._words[CONTENT], self._words[CONTENT_AT], round(time.monotonic())
        self._words[CONTENT], self._words[CONTENT_AT] = generation + 1, now
        return seen != generation + 1 or now - at > SAME_REPLACEMENT_SECONDS

    def note_kept(self, count: int, ends_at: float) -> None:
        self._words[COUNT] = max(count, self.kept)
        self._words[UNTIL] = max(round(ends_at), self._words[UNTIL])

    @property
    def kept(self) -> int:
        """How many refusals the database lacked, as long as one of them is in force."""
        return self._words[COUNT] if time.time() < self._words[UNTIL] else 0
