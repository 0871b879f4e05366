"""Memory that all processes of one service share: whether each can record, and what it counts.

The parent makes it before it forks. There is no lock: each worker writes only its own slot, and the
parent only while the slot has no worker.
"""

from __future__ import annotations

import time

from ..audit.evidence.health import LogHealth
from ..audit.index.demand import Demand
from ..kit.shared_words import SharedWords
from ..security.replacement_notice import ReplacementNotice

# Positions in a slot.
CLOSED, REFUSED, LOST_MESSAGES, LOST_EVENTS, BEAT, STOOD_PID, STOOD_MS, UNCOUNTED = range(8)
WORDS = 8  # a slot fills one cache line
COUNTED, NOT_COUNTED, ALONE = range(3)
"""How requests are counted against their limits: ALONE is against this node's part of them."""


class Scoreboard:
    """One slot for each worker: that worker writes it, and all read it. Made before the fork."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.log = LogHealth()
        """What the notary process finds out about the log; only that one writes it."""
        self.database = ReplacementNotice()
        self.demand = Demand()
        """Whether the index of the records is wanted now."""
        self._words = SharedWords(slots * WORDS).words
        self._stopping = SharedWords(1).words

    @property
    def is_stopping(self) -> bool:
        """Whether the whole service stops. Only the parent sets it."""
        return bool(self._stopping[0])

    @is_stopping.setter
    def is_stopping(self, is_stopping: bool) -> None:
        self._stopping[0] = is_stopping

    def slot(self, number: int) -> Slot:
        """Of worker *number*, from 0, set to healthy. It counts on after its predecessor."""
        slot = Slot(self._words_of(number))
        slot.set_closed(False)
        slot.set_counting(COUNTED)
        return slot

    def pulse(self, number: int) -> Pulse:
        """How the parent sees worker *number*."""
        return Pulse(self._words_of(number))

    @property
    def any_closed(self) -> bool:
        """Whether any worker refuses requests because it cannot record."""
        return self.closed > 0

    @property
    def closed(self) -> int:
        """How many workers refuse requests because they cannot record."""
        return sum(self._words[CLOSED::WORDS])

    def _words_of(self, number: int) -> memoryview:
        return self._words[number * WORDS : (number + 1) * WORDS]

    @property
    def any_uncounted(self) -> bool:
        """Whether any worker refuses requests because it cannot count them against their limits."""
        return NOT_COUNTED in self._words[UNCOUNTED::WORDS].tolist()

    @property
    def any_alone(self) -> bool:
        """Whether any worker counts requests on this node alone, against its part of the limits."""
        return ALONE in self._words[UNCOUNTED::WORDS].tolist()

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

    def set_closed(self, closed: bool) -> None:
        """Whether this worker refuses requests because it cannot record."""
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

    def set_counting(self, counting: int) -> None:
        """COUNTED, NOT_COUNTED or ALONE."""
        self._words[UNCOUNTED] = counting

    def beat(self) -> None:
        """This worker's event loop is running. After the first beat, more are expected."""
        self._words[BEAT] = _now_ms()

    def end_beat(self) -> None:
        """This worker stops: no more beats are expected."""
        self._words[BEAT] = 0

    @property
    def stood(self) -> tuple[int, float] | None:
        """The pid of a predecessor that stood still, and its seconds; until that is recorded."""
        pid, milliseconds = self._words[STOOD_PID], self._words[STOOD_MS]
        return (pid, milliseconds / 1000) if pid else None

    def forget_stood(self) -> None:
        self._words[STOOD_PID] = 0


class Pulse:
    """What the parent reads of one worker, and leaves for its successor."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def clear(self) -> None:
        """Clears the slot. Called before a worker is started."""
        self._words[BEAT] = 0

    @property
    def beaten_at(self) -> float:
        """The time of the last beat, on the monotonic clock. 0: none is expected."""
        return self._words[BEAT] / 1000

    def note_stood(self, pid: int, seconds: float) -> None:
        """The worker *pid* stood still for *seconds*, and is ended. Its successor records it."""
        self._words[STOOD_PID], self._words[STOOD_MS] = pid, round(seconds * 1000)


def _now_ms() -> int:
    return round(time.monotonic() * 1000)
