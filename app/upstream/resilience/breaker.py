"""The circuit breaker of one server: one that fails again and again is left alone for a while.

Its state is in memory that all workers of one machine share. There are no locks around counts: two
failures at the same moment may count as one. Who may try whether the server is back, and who may
ask it again, is exact: it holds a lock on the file, which the kernel frees if its process is
killed.
"""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Callable
from enum import Enum, IntEnum
from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
from pathlib import Path
from time import monotonic_ns

from ...catalogue.rules import BreakerRules

LOG = logging.getLogger("app.upstream")
RULES = BreakerRules()
BYTES = 4096
NAME_AT = 64
FULL_SECONDS = 3.0
"""How long a server is known to be full. An outage may look like that for as long."""
OPEN_UNTIL, IN_A_ROW, BEGAN, CALLS, BAD, TRIAL_AT, RETRIED, FULL_AT = range(8)  # words; those of times in nanoseconds


class Entry(IntEnum):
    REFUSED = 0
    PASSED = 1
    TRIAL = 2
    """The one that shows whether the server is back."""
    LATER_TRIAL = 3
    """One beside a trial that takes long: an answer may need minutes."""


class Outcome(Enum):
    GOOD = "good"
    """The server answers, if only with a refusal."""
    BAD = "bad"
    NONE = "none"
    """It does not show: the caller disconnected."""


class Breaker:
    """Belongs to one event loop. Each `enter` that passes needs its `leave`."""

    def __init__(self, name: str = "", rules: BreakerRules = RULES, file: Path | None = None) -> None:
        """*file*: in memory, for all workers; None: for this process alone. Raises OSError."""
        self.name, self.rules = name, rules
        self._fd = -1
        memory = mmap.mmap(-1, BYTES) if file is None else self._open(file)
        self._memory = memory
        self._words = memoryview(memory)[:NAME_AT].cast("Q")
        self._is_trying = False
        self.on_change: Callable[[], None] = lambda: None
        """This process has opened or closed it because of how the server answers."""

    def _open(self, file: Path) -> mmap.mmap:
        self._fd = fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < BYTES:  # written, not only made longer: memory may be full
                name = self.name.encode()[: BYTES - NAME_AT - 1]
                os.pwrite(fd, name + bytes(BYTES - NAME_AT - len(name)), NAME_AT)
            return mmap.mmap(fd, BYTES)
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        self._words.release()
        self._memory.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @staticmethod
    def server_of(file: Path) -> str:
        """The name of the server whose breaker is in *file*. Raises OSError."""
        return file.read_bytes()[NAME_AT:].rstrip(b"\0").decode("utf-8", "replace")

    @property
    def is_open(self) -> bool:
        return bool(self._words[OPEN_UNTIL])

    @property
    def is_resting(self) -> bool:
        """Whether nobody is let through now, as far as this process knows."""
        if not (until := self._words[OPEN_UNTIL]):  # nearly always
            return False
        now = monotonic_ns()
        return now < until or (self._is_trying and now - self._words[TRIAL_AT] < self.rules.open_seconds * 1e9)

    @property
    def failures(self) -> int:
        """Questions in a row."""
        return int(self._words[IN_A_ROW])

    @property
    def may_retry(self) -> bool:
        """Whether a question may be sent once more: since the last answer no other one was, or
        failed."""
        words = self._words
        return not words[OPEN_UNTIL] and not words[RETRIED] and words[IN_A_ROW] <= 1

    def take_retry(self) -> bool:
        """Whether to send a question once more now. No other one is, until the server answers."""
        if not self.may_retry or not self._lock():
            return False
        is_granted, self._words[RETRIED] = self.may_retry, 1
        self._unlock()
        return is_granted

    def note_retry(self) -> None:
        """A question is sent once more in any case."""
        self._words[RETRIED] = 1

    def note_full(self) -> None:
        """The server has as many calls as it bears."""
        self._words[FULL_AT] = monotonic_ns()

    @property
    def is_full(self) -> bool:
        """Whether any worker noted so a moment ago: what is refused then is too many."""
        return not self.is_open and monotonic_ns() - self._words[FULL_AT] < FULL_SECONDS * 1e9

    @property
    def seconds_left(self) -> float:
        """Until one is let through. Another worker may do so earlier."""
        return max(0.0, (self._words[OPEN_UNTIL] - monotonic_ns()) / 1e9)

    def enter(self) -> Entry:
        """Whether the server may be asked now."""
        until = self._words[OPEN_UNTIL]
        if not until:  # nearly always
            return Entry.PASSED
        now = monotonic_ns()
        if now < until:
            return Entry.REFUSED
        if self._is_trying or not self._lock():
            return self._enter_later(now)
        if not self._words[OPEN_UNTIL]:  # closed meanwhile
            self._unlock()
            return Entry.PASSED
        self._is_trying, self._words[TRIAL_AT] = True, now
        return Entry.TRIAL

    def _enter_later(self, now: int) -> Entry:
        if now - self._words[TRIAL_AT] < self.rules.open_seconds * 1e9:
            return Entry.REFUSED
        self._words[TRIAL_AT] = now
        return Entry.LATER_TRIAL

    def leave(self, entry: Entry, outcome: Outcome, *, is_counted: bool = False) -> None:
        """*is_counted*: an earlier failure of the same question is."""
        words = self._words
        if entry in (Entry.TRIAL, Entry.LATER_TRIAL):
            if outcome is Outcome.GOOD and self.is_open:
                self.reset()
                LOG.warning("server %s answers again: its breaker is closed", self.name)
                self.on_change()
            elif outcome is Outcome.BAD and self.is_open:
                words[OPEN_UNTIL] = self._later()
            if entry is Entry.TRIAL:
                self._is_trying = False
                self._unlock()
        elif outcome is Outcome.GOOD:
            words[CALLS] += 1
            if words[IN_A_ROW] or words[RETRIED]:
                words[IN_A_ROW] = words[RETRIED] = 0
        elif outcome is Outcome.BAD and not is_counted:
            self._count_bad()

    def open_for(self, seconds: float) -> None:
        """Another machine found that the server fails. One that is open here stays as it is."""
        if not self.is_open:
            self._words[OPEN_UNTIL] = monotonic_ns() + int(seconds * 1e9)

    def reset(self) -> None:
        """Close it, and forget what was counted."""
        for word in (IN_A_ROW, RETRIED, CALLS, BAD, BEGAN, FULL_AT, OPEN_UNTIL):
            self._words[word] = 0

    def _count_bad(self) -> None:
        words, rules, now = self._words, self.rules, monotonic_ns()
        if now - words[BEGAN] > rules.window_seconds * 1e9:
            words[BEGAN], words[CALLS], words[BAD] = now, 0, 0
        words[CALLS] += 1
        words[BAD] += 1
        words[IN_A_ROW] += 1
        calls, bad, in_a_row = words[CALLS], words[BAD], words[IN_A_ROW]
        if not words[OPEN_UNTIL] and (in_a_row >= rules.failures or (calls >= rules.least and bad >= rules.share * calls)):
            words[OPEN_UNTIL] = self._later()
            LOG.warning(
                "server %s is not asked for %g s: %d failures in a row, %d of the last %d calls",
                *(self.name, rules.open_seconds, in_a_row, bad, calls),
            )
            self.on_change()

    def _later(self) -> int:
        return monotonic_ns() + int(self.rules.open_seconds * 1e9)

    def _lock(self) -> bool:
        if self._fd < 0:
            return True
        try:
            flock(self._fd, LOCK_EX | LOCK_NB)
        except OSError:
            return False
        return True

    def _unlock(self) -> None:
        if self._fd >= 0:
            flock(self._fd, LOCK_UN)
