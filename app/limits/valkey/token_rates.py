"""Rates in tokens that a server counts for all nodes; while it is down, what LIMITS_DOWN says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ...catalogue.caps import TokenRate
from ...errors import LimitsUnavailable
from ..quota import TOKEN_RATE, Quota, QuotaExceeded
from ..token_rates import Part, TokenCharge, TokenRates
from .scripts import TOKENS
from .server import LimitsDown, LimitsServer

T = TypeVar("T")
NOW = 0.0
NOTHING = Quota(0, 0, 0, TOKEN_RATE)
SETTLE_SECONDS = 1.0


class ServerTokenRates(TokenRates):
    def __init__(self, log: Path, server: LimitsServer, nodes: int | None) -> None:
        """*nodes*: while the server is down, each counts alone and grants such a part of each rate.

        None: then no question with a rate is admitted.
        """
        super().__init__(log)
        self._server, self._nodes = server, nodes
        self._settling: set[asyncio.Task[None]] = set()

    async def admit(self, rates: tuple[TokenRate, ...], estimate: int) -> TokenCharge:
        try:
            return await self._charge_there(rates, estimate)
        except LimitsDown as error:
            if self._nodes is None:
                raise LimitsUnavailable(retry_after=1) from error
            parts = tuple(TokenRate(rate.key, max(1, rate.most // self._nodes)) for rate in rates)
        return self.charge(parts, estimate)

    def settle(self, charge: TokenCharge | None, used: int, rates: tuple[TokenRate, ...]) -> None:
        """In the background: an answer does not wait for it."""
        if charge.is_of_node if charge is not None else self._server.problem is not None:
            super().settle(charge, used, rates)
            return
        charged, keys = charge.parts if charge is not None else (), {rate.key for rate in rates}
        settled = [Part(one.key, one.at, (used if one.key in keys else 0) - one.amount) for one in charged]
        settled += [Part(key, NOW, used) for key in keys - {one.key for one in charged}]
        task = asyncio.create_task(self._settle_there([part for part in settled if part.amount]))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    async def until_settled(self) -> None:
        if self._settling:
            await asyncio.wait(self._settling, timeout=SETTLE_SECONDS)

    async def _charge_there(self, rates: tuple[TokenRate, ...], estimate: int) -> TokenCharge:
        """In a cluster a call for each window: what was charged before a refusal is given back."""
        parts: list[Part] = []
        quotas: list[Quota] = []
        for group in self._together(rates):
            amounts = [min(max(1, estimate), rate.most) for rate in group]
            numbers = [number for rate, amount in zip(group, amounts, strict=True) for number in (rate.most, amount)]
            try:
                full, second, *rest = await self._server.call(TOKENS, self._keys(group), ("charge", *numbers))
            except LimitsDown:
                self.settle(TokenCharge(tuple(parts), NOTHING), 0, ())
                raise
            found = list(zip(rest[::2], rest[1::2], strict=True))
            if full:
                self.settle(TokenCharge(tuple(parts), NOTHING), 0, ())
                raise QuotaExceeded(_quota(group[full - 1], *found[0]))
            quotas += [_quota(rate, *one) for rate, one in zip(group, found, strict=True)]
            parts += [Part(rate.key, float(second), amount) for rate, amount in zip(group, amounts, strict=True)]
        return TokenCharge(tuple(parts), min(quotas, key=lambda quota: quota.remaining))

    async def _settle_there(self, parts: list[Part]) -> None:
        """Where that cannot be written, the estimate stays."""
        with suppress(LimitsDown):
            for group in self._together(parts):
                numbers = [number for part in group for number in (int(part.at), part.amount)]
                await self._server.call(TOKENS, self._keys(group), ("settle", *numbers))

    def _together(self, several: Iterable[T]) -> list[tuple[T, ...]]:
        whole = tuple(several)
        return [(one,) for one in whole] if self._server.is_cluster else [whole] if whole else []

    def _keys(self, several: Iterable[TokenRate | Part]) -> list[str]:
        return [self._server.keys.of(one.key, f"sums of {one.key}") for one in several]


def _quota(rate: TokenRate, total: int, seconds: int) -> Quota:
    return Quota(rate.most, max(0, rate.most - total), seconds, TOKEN_RATE)
