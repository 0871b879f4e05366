"""Retry-After: how long a server asks to wait (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime

_SECONDS = re.compile(r"[0-9]{1,400}(\.[0-9]{1,400})?")


def told_seconds(value: str | None, now: float | None = None) -> float | None:
    """Whole or decimal seconds, or those until a date; never less than 0. None: it says nothing.

    *now*: Unix seconds.
    """
    value = (value or "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        until = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, until.timestamp() - (time.time() if now is None else now))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
