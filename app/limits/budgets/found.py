"""What the log holds of one request, and how its reservations end because of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .books import ATTEMPTED, ENDS, RECEIVED, RELEASED, OpenQuestion, amounts_of
from .reservations import MOST_AMOUNT, Pot, Share, shown
from .store import NO_OWNER, OpenRow, Settle


@dataclass(slots=True)
class Found:
    """What the log holds of one request."""

    received: int = -1
    reserved: list[dict[str, Any]] = field(default_factory=list)
    spent: list[dict[str, Any]] | None = None
    ended: int = -1
    """The number of the record that ends it."""

    @property
    def has_end(self) -> bool:
        return self.ended >= 0


def key_of(request_id: str, attempt: int) -> str:
    """Of the reservation of an attempt, from 1."""
    return request_id if attempt == 1 else f"{request_id}:{attempt}"


def request_of(key: str) -> str:
    return key.partition(":")[0]


def note(found: Found, seq: int, action: str, details: Mapping[str, Any]) -> None:
    if action in (RECEIVED, ATTEMPTED):  # a fallback may be the first with a budget
        found.received = details.get("received", seq)
        found.reserved += details.get("reserved", ())
    elif action in ENDS and not found.has_end:
        found.ended, found.spent = seq, details.get("spent", [] if action == RELEASED else found.reserved)


def by_request(rows: Iterable[OpenRow]) -> dict[str, list[OpenRow]]:
    several: dict[str, list[OpenRow]] = defaultdict(list)
    for row in rows:
        several[request_of(row.key)].append(row)
    return several


def amounts_for(key: str, entries: Iterable[dict[str, Any]] | None) -> Mapping[Pot, int]:
    """Of those *entries* that belong to the attempt of *key*."""
    request_id = request_of(key)
    return amounts_of([one for one in entries or () if key_of(request_id, one.get("attempt", 1)) == key])


def rows_of(question: OpenQuestion) -> list[OpenRow]:
    keys = {key_of(question.request_id, one.get("attempt", 1)) for one in question.reserved}
    return [OpenRow(key, NO_OWNER, 0, amounts_for(key, question.reserved)) for key in keys]


def as_reserved(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`spent` at what was `reserved`."""
    names = ("id", "period", "unit", "attempt")
    return [
        {**{name: one[name] for name in names if name in one}, "by": "reservation", "amount": one["amount"]} for one in entries
    ]


def shown_rows(rows: Iterable[OpenRow]) -> list[dict[str, Any]]:
    amounts = [(pot, amount) for row in rows for pot, amount in row.amounts.items()]
    return [{**pot._asdict(), "amount": shown(amount, pot.budget.endswith("/money"))} for pot, amount in amounts]


def settlement(row: OpenRow, spent: Mapping[Pot, int]) -> Settle:
    """Without an alarm: nobody waits for this one."""
    never = datetime.max.replace(tzinfo=UTC)
    shares = [
        Share(pot, amount, MOST_AMOUNT, counts_money=False, is_own=False, begins_anew=never)
        for pot, amount in row.amounts.items()
    ]
    return Settle(row.key, tuple(shares), tuple(spent.get(pot, 0) for pot in row.amounts))
