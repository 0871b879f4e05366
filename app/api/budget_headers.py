"""The headers that show a principal what is left of their own budgets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime

from ..catalogue.prices import decimal_text
from ..limits.budgets.budgets import Left, now_utc


def budget_headers(left: Sequence[Left], now: datetime | None = None, *, shows_tokens: bool = True) -> list[tuple[bytes, bytes]]:
    """Of the budget in tokens, and of that in money, of which least is left.

    *shows_tokens*: not where a rate in tokens has the same headers.
    """
    headers: list[tuple[bytes, bytes]] = []
    tokens = [one for one in left if not one.counts_money]
    if tokens and shows_tokens:
        least = min(tokens, key=lambda one: one.left)
        seconds = max(1, math.ceil((least.begins_anew - (now or now_utc())).total_seconds()))
        headers += [
            (b"x-ratelimit-limit-tokens", b"%d" % least.most),
            (b"x-ratelimit-remaining-tokens", b"%d" % least.left),
            (b"x-ratelimit-reset-tokens", b"%ds" % seconds),
        ]
    money = [one.left for one in left if one.counts_money]
    if money:
        headers.append((b"x-budget-remaining", decimal_text(min(money)).encode()))
    return headers
