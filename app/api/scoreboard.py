"""What all workers of one service know of each other, without a lock: memory made by the parent before it forks."""

from __future__ import annotations

import mmap

CLOSED, REFUSED = 0, 1  # the words of a slot
WORDS = 8  # a slot fills a cache line of its own
WORD_BYTES = 8


class Scoreboard:
    """One slot a worker, each written by its worker alone and read by all. Make it before the fork."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        memory = mmap.mmap(-1, slots * WORDS * WORD_BYTES)  # anonymous, shared with those who are forked, zeros at first
        self._words = memoryview(memory).cast("Q")  # machine words, so that no reader ever sees half of one

    def slot(self, number: int) -> Slot:
        """The place of worker *number* (from 0), for that worker: open, and counting on from where its predecessor ended."""
        slot = Slot(self._words[number * WORDS : (number + 1) * WORDS])
        slot.set_closed(False)
        return slot

    @property
    def any_closed(self) -> bool:
        """Whether any worker refuses because it cannot record."""
        return any(self._words[CLOSED::WORDS])

    @property
    def refused(self) -> int:
        """V1Requests refused because of the audit log, by all workers since the service began."""
        return sum(self._words[REFUSED::WORDS])


class Slot:
    """One worker's part of the board. `refused += 1` is safe: nobody else writes here."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    @property
    def closed(self) -> bool:
        """Whether this worker refuses because it cannot record."""
        return bool(self._words[CLOSED])

    def set_closed(self, closed: bool) -> None:
        self._words[CLOSED] = closed

    @property
    def refused(self) -> int:
        """V1Requests that this worker and its predecessors refused because of the audit log."""
        return int(self._words[REFUSED])

    @refused.setter
    def refused(self, count: int) -> None:
        self._words[REFUSED] = count
