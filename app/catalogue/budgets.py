"""Budgets: who may spend how much in a minute, a day or a month of the operator's calendar."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, get_args

from .prices import decimal_text

PeriodName = Literal["minute", "day", "month"]
PERIODS: tuple[str, ...] = get_args(PeriodName)
EACH = "*"
"""As the principal of a budget: each principal has one like it."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One pot. At most one of *principal*, *role* and *model* is set; without one, all share it."""

    id: str
    """Such as `principal=alice/day/money`. It does not change while the pot is the same."""
    per: PeriodName
    principal: str | None = None
    role: str | None = None
    model: str | None = None
    money: int | None = None
    """In 10^-9 units of the currency. Either this or *tokens* is set."""
    tokens: int | None = None

    @property
    def most(self) -> int:
        """Of money or of tokens."""
        return self.tokens or 0 if self.money is None else self.money

    @property
    def counts_money(self) -> bool:
        return self.money is not None

    def of(self, principal: str) -> Budget:
        """Of a budget for each principal: that of *principal*."""
        return replace(self, id=budget_id(self.per, self.counts_money, principal=principal), principal=principal)

    def members(self) -> dict[str, object]:
        """As records hold it."""
        scope = {"principal": self.principal, "role": self.role, "model": self.model}
        most = {"tokens": self.tokens} if self.money is None else {"money": decimal_text(self.money)}
        return {"id": self.id, **{name: value for name, value in scope.items() if value is not None}, **most, "per": self.per}


def budget_id(
    per: str, counts_money: bool, *, principal: str | None = None, role: str | None = None, model: str | None = None
) -> str:
    scope = [f"{name}={value}" for name, value in (("principal", principal), ("role", role), ("model", model)) if value]
    return "/".join([*(scope or ["all"]), per, "money" if counts_money else "tokens"])


def period_of(budget: Budget, time: datetime, zone: tzinfo) -> str:
    """The period of *budget* that *time* is in: `2026-11-26T10:05`, `2026-11-26` or `2026-11`.

    Days and months are those of *zone*. Minutes are those of UTC: one that comes twice when the
    clocks are put back is two.
    """
    if budget.per == "minute":
        return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")
    return time.astimezone(zone).strftime("%Y-%m-%d" if budget.per == "day" else "%Y-%m")


def begins_anew(budget: Budget, time: datetime, zone: tzinfo) -> datetime:
    """The first moment of the period after the one that *time* is in, in UTC."""
    if budget.per == "minute":
        return time.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    local = time.astimezone(zone)
    if budget.per == "day":
        following = local.date() + timedelta(days=1)
    else:
        following = (local.date().replace(day=1) + timedelta(days=31)).replace(day=1)
    # A midnight that the clocks skip is the moment at which they are put forward (PEP 495).
    return datetime(following.year, following.month, following.day, tzinfo=zone).astimezone(UTC)
