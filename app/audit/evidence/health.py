"""What the signing loop finds out about the log, in memory that all processes share."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from ...errors import AuditCorrupt
from ...kit.shared_words import SharedWords

STILL_SECONDS = 5.0
"""A signing loop that has not moved, or signed, for so long is reported."""
CLOSED, BEAT, SIZE, SIGNED_AT, BEHIND_SINCE, RECHECKED, RECHECK_OF, PASSES, KEY_LOST, PASSED_AT, INCARNATION, AWAY = range(12)
WORDS = 16
TEXT_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Recheck:
    """Where the background reader is: *position* of *size* bytes, after *passes* whole passes."""

    position: int
    size: int
    passes: int


class LogHealth:
    """The signing loop writes it; everybody reads it. Made before the fork, it outlives its writer.

    Times are milliseconds of the monotonic clock, which all processes of a machine share.
    """

    def __init__(self) -> None:
        self._shared = SharedWords(WORDS, TEXT_BYTES)
        self._words = self._shared.words
        self._words[BEAT] = _now()
        self._words[INCARNATION] = int.from_bytes(os.urandom(7), "big")

    @property
    def incarnation(self) -> int:
        """All processes of this service have this number, and no other service has it."""
        return self._words[INCARNATION]

    # --- whether the log is what was signed ------------------------------------------------------

    @property
    def problem(self) -> str | None:
        """Why the log is not what was signed; None while it is."""
        return self._shared.text if self._words[CLOSED] else None

    def close(self, why: str) -> None:
        """From now on no process of the service records anything."""
        self._shared.text = why
        self._words[CLOSED] = 1

    def open(self) -> None:
        self._words[CLOSED] = 0

    def verify_sound(self) -> None:
        """Raises AuditCorrupt while the log is not what was signed. Costs one read of memory."""
        if self._words[CLOSED]:
            raise AuditCorrupt(self._shared.text)

    # --- signing ---------------------------------------------------------------------------------

    def beat(self) -> None:
        """The signing loop has moved."""
        self._words[BEAT] = _now()

    def note_checkpoint(self, size: int, age_seconds: float) -> None:
        """A checkpoint over *size* records is served. *age_seconds*: since it was signed."""
        self._words[SIGNED_AT] = max(1, _now() - round(age_seconds * 1000))
        self._words[SIZE] = size

    def note_behind(self, is_behind: bool) -> None:
        """Whether there are durable records that no checkpoint covers."""
        if not is_behind:
            self._words[BEHIND_SINCE] = 0
        elif not self._words[BEHIND_SINCE]:
            self._words[BEHIND_SINCE] = _now()

    @property
    def size(self) -> int:
        """Records that the last checkpoint covers, as far as known here."""
        return self._words[SIZE]

    @property
    def head_age_seconds(self) -> float | None:
        """Since the last checkpoint was signed. None: none was seen yet."""
        signed_at = self._words[SIGNED_AT]
        return (_now() - signed_at) / 1000 if signed_at else None

    @property
    def stands_still(self) -> bool:
        """The signing loop does not move."""
        return _now() - self._words[BEAT] > STILL_SECONDS * 1000

    @property
    def is_behind(self) -> bool:
        """Records wait for their signature for longer than they should."""
        since = self._words[BEHIND_SINCE]
        return bool(since) and _now() - since > STILL_SECONDS * 1000

    @property
    def is_away(self) -> bool:
        """The log cannot be looked at, so it could not be written either."""
        return bool(self._words[AWAY])

    @is_away.setter
    def is_away(self, is_away: bool) -> None:
        self._words[AWAY] = is_away

    # --- the rest --------------------------------------------------------------------------------

    @property
    def is_key_lost(self) -> bool:
        """The file of the log key does not hold the key any more."""
        return bool(self._words[KEY_LOST])

    @is_key_lost.setter
    def is_key_lost(self, is_lost: bool) -> None:
        self._words[KEY_LOST] = is_lost

    @property
    def recheck(self) -> Recheck:
        return Recheck(self._words[RECHECKED], self._words[RECHECK_OF], self._words[PASSES])

    @recheck.setter
    def recheck(self, recheck: Recheck) -> None:
        self._words[RECHECKED], self._words[RECHECK_OF] = recheck.position, recheck.size
        if recheck.passes != self._words[PASSES]:
            self._words[PASSED_AT] = max(1, _now())
        self._words[PASSES] = recheck.passes

    @property
    def verified_age_seconds(self) -> float | None:
        """Since the background reader last ended a whole pass. None: not yet."""
        passed_at = self._words[PASSED_AT]
        return (_now() - passed_at) / 1000 if passed_at else None


def _now() -> int:
    return round(time.monotonic() * 1000)
