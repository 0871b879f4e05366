"""How long to wait before a server is asked again: full jitter, and what the server itself says."""

from __future__ import annotations

from collections.abc import Callable

FIRST_SECONDS, LONGEST_SECONDS = 0.5, 4.0
"""The longest wait before the first retry, which doubles, and before any."""
TOLD_SPREAD, MOST_SPREAD = 0.1, 0.5
"""How much later than told, at most: a part of it, and seconds."""


def delay_before(retry: int, told: float | None, random: Callable[[], float]) -> float:
    """Seconds before retry number *retry*, from 1. *told*: the server's Retry-After.

    Never less than told; all who were told the same do not come back at the same moment.
    """
    if told is not None and told > 0:
        return told + random() * min(MOST_SPREAD, TOLD_SPREAD * told)
    return random() * min(LONGEST_SECONDS, FIRST_SECONDS * (1 << (retry - 1)))
