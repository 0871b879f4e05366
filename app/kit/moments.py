"""Points in time and lengths of time, as commands and records write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MOST_AGO = 36_500 * 86_400
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


def now_utc() -> str:
    """RFC 3339 in UTC with six decimals."""
    return _written(datetime.now(UTC))


def moment(seconds: int) -> datetime:
    """Unix seconds as a point in time, in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def iso(when: datetime) -> str:
    """As RFC 3339 has it: 2026-11-23T09:15:02Z."""
    return when.isoformat().replace("+00:00", "Z")


def duration(text: str, most: int) -> int:
    """The seconds of 90d, 12h, 30m or 45s. Raises ValueError, also for 0 and above *most*."""
    found = _DURATION.fullmatch(text.strip())
    seconds = int(found[1]) * SECONDS[found[2]] if found else 0
    if not 0 < seconds <= most:
        raise ValueError(f"a length of time is a number and s, m, h or d, such as 90d: at most {most // SECONDS['d']}d")
    return seconds


def since(text: str, now: datetime) -> str:
    """The moment of 2026-11-23, 2026-11-23T09:15:00Z or 30d (ago), in UTC as records write it.

    A time without a zone is in UTC. Raises ValueError.
    """
    try:
        found = now - timedelta(seconds=duration(text, MOST_AGO))
    except ValueError:
        found = _time(text.strip())
    return _written(found)


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):  # the second: a day of the year 1 or 9999 that is in another year in UTC
        raise ValueError("a moment is a day (2026-11-23), a time (2026-11-23T09:15:00Z), or how long ago (30d)") from None


def _written(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
