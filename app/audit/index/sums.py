"""Sums of the index: questions, tokens, money, refusals and times by day, principal and model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .schema import BUCKETS_MS, COUNTS, SUMS, TIMES, reading

BY = {"day": "day", "principal": "user", "model": "model"}
MAX_ROWS = 400


def sums(index: Path, by: str, *, user: str | None = None, since: str = "", until: str = "9999") -> list[dict[str, Any]]:
    """By a key of BY; *since* and *until* are days, both included. Blocks. Raises Unavailable.

    At most MAX_ROWS: the newest days, else those with the most questions.
    """
    column, own = BY[by], "" if user is None else " AND user = ?"
    added = ", ".join(f"sum({name})" for name in SUMS)
    order = "1 DESC" if by == "day" else "sum(questions) DESC"
    query = f"SELECT {column}, {added} FROM sums WHERE day >= ? AND day <= ?{own} GROUP BY 1 ORDER BY {order} LIMIT {MAX_ROWS}"  # noqa: S608
    with reading(index) as connection:
        rows = connection.execute(query, (since, until, *(() if user is None else (user,)))).fetchall()
    found = [_row(row[0], dict(zip(SUMS, row[1:], strict=True))) for row in rows]
    return found[::-1] if by == "day" else found


def unpriced(index: Path, by: str, *, user: str | None, since: str, until: str) -> list[tuple[str, str, int, int]]:
    """Tokens of answers whose records name no money: a key of BY, model, input, output."""
    own = "" if user is None else " AND user = ?"
    query = (
        f"SELECT {BY[by]}, model, sum(unpriced_input), sum(unpriced_output) FROM sums "  # noqa: S608 - only placeholders
        f"WHERE day >= ? AND day <= ? AND unpriced_input + unpriced_output > 0{own} GROUP BY 1, 2"
    )
    with reading(index) as connection:
        return connection.execute(query, (since, until, *(() if user is None else (user,)))).fetchall()


def refusals(index: Path, *, user: str | None = None, since: str = "", until: str = "9999") -> list[dict[str, Any]]:
    """How often each code came."""
    own = "" if user is None else " AND user = ?"
    query = f"SELECT code, sum(count) FROM refusals WHERE day >= ? AND day <= ?{own} GROUP BY 1 ORDER BY 2 DESC LIMIT 50"  # noqa: S608
    with reading(index) as connection:
        rows = connection.execute(query, (since, until, *(() if user is None else (user,)))).fetchall()
    return [{"code": code, "count": count} for code, count in rows]


def quantile(counts: list[int], share: float) -> int | None:
    """About how many milliseconds *share* of the answers took at most. None: there were none."""
    total, seen, low = sum(counts), 0, 0
    for count, high in zip(counts, (*BUCKETS_MS, BUCKETS_MS[-1]), strict=True):
        if count and seen + count >= total * share:
            return round(low + (high - low) * (total * share - seen) / count)
        seen, low = seen + count, high
    return None


def _row(name: str, sums: dict[str, int]) -> dict[str, Any]:
    times = [sums[one] for one in TIMES]
    counts = {one: sums[one] for one in COUNTS if not one.startswith("unpriced")}
    return {"name": name, **counts, "p50_ms": quantile(times, 0.5), "p95_ms": quantile(times, 0.95)}
