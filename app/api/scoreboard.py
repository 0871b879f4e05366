"""Memory that all processes of one service share: whether each can record, and what it counts.

The parent makes it before it forks. There is no lock: each worker writes only its own slot.
"""

from __future__ import annotations

import mmap

from ..audit.evidence.health import LogHealth
from ..security.kept_refusals import DatabaseNotice

CLOSED, REFUSED, LOST_MESSAGES, LOST_EVENTS = range(4)  # positions in a slot
WORDS = 8  # a slot fills one cache line
WORD_BYTES = 8


class Scoreboard:
    """One slot for each worker: that worker writes it, and all read it. Made before the fork."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.log = LogHealth()
        """What the notary process finds out about the log; only that one writes it."""
        self.database = DatabaseNotice()
        memory = mmap.mmap(-1, slots * WORDS * WORD_BYTES)  # anonymous, shared with forked children, zeroed
        self._words = memoryview(memory).cast("Q")  # machine words: no reader sees half a write

    def slot(self, number: int) -> Slot:
        """The slot of worker *number* (from 0), set to open; it counts on after its predecessor."""
        slot = Slot(self._words[number * WORDS : (number + 1) * WORDS])
        slot.set_closed(False)
        return slot

    @property
    def any_closed(self) -> bool:
        """Whether any worker refuses requests because it cannot record."""
        return any(self._words[CLOSED::WORDS])

    @property
    def refused(self) -> int:
        """Requests refused because of the audit log, by all workers since the service began."""
        return sum(self._words[REFUSED::WORDS])

    @property
    def lost_messages(self) -> int:
        """Messages of the workers' output that were lost because nobody read it."""
        return sum(self._words[LOST_MESSAGES::WORDS])

    @property
    def lost_events(self) -> int:
        """Lines of the security log that the workers could not write."""
        return sum(self._words[LOST_EVENTS::WORDS])


class Slot:
    """One worker's part of the scoreboard. `refused += 1` is safe: no other process writes here."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    @property
    def closed(self) -> bool:
        """Whether this worker refuses requests because it cannot record."""
        return bool(self._words[CLOSED])

    def set_closed(self, closed: bool) -> None:
        self._words[CLOSED] = closed

    def count_lost_messages(self, count: int) -> None:
        """From one thread at a time, as `count_lost_events`."""
        self._words[LOST_MESSAGES] += count

    def count_lost_events(self, count: int) -> None:
        self._words[LOST_EVENTS] += count

    @property
    def refused(self) -> int:
        """Requests that this worker and its predecessors refused because of the audit log."""
        return int(self._words[REFUSED])

    @refused.setter
    def refused(self, count: int) -> None:
        self._words[REFUSED] = count
