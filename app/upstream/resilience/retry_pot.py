"""The retry budget: of all that is asked, a share may be sent again."""

from __future__ import annotations

from collections import OrderedDict

START = 2.0
MOST = 20.0
"""Retries that quiet hours can save up."""
OWN_MOST = 4.0
"""Of these, what one principal can save up for itself."""
MAX_PRINCIPALS = 1_000
"""Whose part is remembered. Who asked least lately is forgotten first."""


class RetryPot:
    """Of one worker. What a question adds is its principal's first.

    A principal without any of its own may borrow, and leaves at least as much as it owes then. What
    it adds later pays that back.
    """

    def __init__(self) -> None:
        self._pot = START
        self._own: OrderedDict[str, float] = OrderedDict()  # below 0: what is owed

    def add(self, who: str, share: float) -> None:
        """A question of *who* is sent for the first time. It adds the part *share* of a retry."""
        self._pot = min(MOST, self._pot + share)
        self._own[who] = min(OWN_MOST, self._own.get(who, 0.0) + share)
        self._own.move_to_end(who)
        if len(self._own) > MAX_PRINCIPALS:
            self._own.popitem(last=False)

    def take(self, who: str) -> bool:
        """Whether one more may be sent for *who*; it is counted then."""
        own, left = self._own.get(who, 0.0) - 1, self._pot - 1
        if left < 0 or -own > left:
            return False
        self._pot, self._own[who] = left, own
        return True
