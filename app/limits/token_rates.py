"""Rates in tokens: of each principal, and of each model for all callers together.

A question counts with an estimate when it begins: a quarter of its bytes, and the most that its
answer may have. When it is over, what the server counted takes the place of that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from limits.strategies import MovingWindowRateLimiter

from ..catalogue.caps import NO_TOKEN_RATE, TokenRate
from ..errors import LimitsUnavailable
from .quota import TOKEN_RATE, PerMinute, Quota, QuotaExceeded
from .shared_window import WINDOW_SCHEME, shared_window_url
from .storage_faults import storage_faults
from .token_window import SCHEME, TokenStorage


class Part(NamedTuple):
    """Of a charge: *amount* tokens at the time *at*, by the clock that it is counted by."""

    key: str
    at: float
    amount: int


@dataclass(frozen=True, slots=True)
class TokenCharge:
    """What a question was counted with."""

    parts: tuple[Part, ...]
    quota: Quota
    """The tightest window after it."""
    is_of_node: bool = False
    """Whether this node counted it alone."""


class TokenRates:
    """Of one process; opens nothing before the first charge.

    Raises LimitsUnavailable if the storage fails: a question that cannot be counted is refused.
    """

    def __init__(self, log: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises ConfigError if there is no place to count in."""
        place = shared_window_url(log).removeprefix(f"{WINDOW_SCHEME}://")
        self._url, self._clock = f"{SCHEME}://{place}-tokens", clock
        self._storage: TokenStorage | None = None

    def charge(self, rates: tuple[TokenRate, ...], estimate: int) -> TokenCharge:
        """Count *estimate* tokens in each of *rates*, at least one. Raises QuotaExceeded.

        A question that is larger than a rate waits until its window is empty.
        """
        parts: list[Part] = []
        with storage_faults():
            storage = self._open()
            window = MovingWindowRateLimiter(storage)
            for rate in rates:
                amount = min(max(1, estimate), rate.most)
                if not window.hit(PerMinute(rate.most), rate.key, cost=amount):
                    self._correct(parts, 0)
                    raise QuotaExceeded(self._quota(storage, rate, storage.seconds_until(rate.key, rate.most, amount)))
                parts.append(Part(rate.key, storage.added_at, amount))
            quotas = [self._quota(storage, rate, storage.seconds_until(rate.key, rate.most, rate.most)) for rate in rates]
        return TokenCharge(tuple(parts), min(quotas, key=lambda quota: quota.remaining), is_of_node=True)

    async def admit(self, rates: tuple[TokenRate, ...], estimate: int) -> TokenCharge:
        """As `charge`, wherever it is counted."""
        return self.charge(rates, estimate)

    def settle(self, charge: TokenCharge | None, used: int, rates: tuple[TokenRate, ...]) -> None:
        """It used so many tokens. Where that cannot be written, the estimate stays.

        *rates*: of the model that answered, which may be another than the one that was charged.
        """
        charged = charge.parts if charge is not None else ()
        keys = {rate.key for rate in rates}
        with suppress(LimitsUnavailable), storage_faults():
            self._correct([part for part in charged if part.key in keys], used)
            self._correct([part for part in charged if part.key not in keys], 0)
            for key in keys - {part.key for part in charged}:
                self._open().acquire_entry(key, NO_TOKEN_RATE, 60, used)

    def close(self) -> None:
        if self._storage is not None:
            self._storage.close()
        self._storage = None

    def _correct(self, parts: list[Part], used: int) -> None:
        for key, at, amount in parts:
            if used != amount:
                self._open().correct(key, at, used - amount)

    def _quota(self, storage: TokenStorage, rate: TokenRate, seconds: int) -> Quota:
        _, total = storage.get_moving_window(rate.key, rate.most, 60)
        return Quota(rate.most, max(0, rate.most - total), seconds, TOKEN_RATE)

    def _open(self) -> TokenStorage:
        if self._storage is None:
            self._storage = TokenStorage(self._url, clock=self._clock)
        return self._storage
