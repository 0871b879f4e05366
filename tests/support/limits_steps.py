"""Random steps that a server's windows and those in shared memory must count alike."""

from __future__ import annotations

import random

from app.catalogue.caps import TokenRate
from app.limits.quota import QuotaExceeded
from app.limits.shared_window import WindowStorage
from app.limits.token_rates import TokenCharge, TokenRates
from app.limits.valkey.server import LimitsServer
from app.limits.valkey.storage import ServerStorage, Window
from app.limits.valkey.token_rates import ServerTokenRates

from .limits_server import ServerClock
from .windows import Clock

KEYS, SIZES, PAUSES = "abc", (0, 1, 2, 3, 7, 60), (1 / 64, 0.25, 1, 7, 29.5, 30, 59, 60, 61, 200)
MINUTE = 60


async def compare_windows(server: LimitsServer, here: WindowStorage, clock: Clock, choose: random.Random, steps: int) -> int:
    """How many steps were the same on both. Fails at the first that was not."""
    there = ServerStorage("limits-server://", server=server)
    for step in range(steps):
        key, size, amount = choose.choice(KEYS), choose.choice(SIZES), choose.choice((1, 1, 1, 2, 5))
        what = choose.choices(("hit", "look", "give back", "wait"), (6, 2, 1, 1))[0]
        same: tuple[object, object] = (None, None)
        if what == "hit":
            same = here.acquire_entry(key, size, MINUTE, amount), await there.acquire_entry(key, size, MINUTE, amount)
        elif what == "look":
            same = here.get_moving_window(key, 1, MINUTE), await there.get_moving_window(key, 1, MINUTE)
        elif what == "give back":
            here.give_back(key)
            await there.give_back([Window(key, key, 0)])
        else:
            clock.now += choose.choice(PAUSES)
            await _set(server, clock.now)
        assert same[0] == same[1], f"step {step}, {what}: {same}"
    return steps


async def compare_tokens(
    there: ServerTokenRates, server: LimitsServer, here: TokenRates, clock: Clock, choose: random.Random, steps: int
) -> int:
    """As `compare_windows`, of charges in several rates and what settles them."""
    open_charges: list[tuple[TokenCharge, TokenCharge, tuple[TokenRate, ...]]] = []
    for step in range(steps):
        rates = tuple(TokenRate(key, choose.choice((100, 1000))) for key in choose.sample(KEYS, choose.choice((1, 2))))
        what = choose.choices(("charge", "settle", "wait"), (5, 3, 1))[0]
        if what == "charge":
            amount = choose.choice((1, 10, 60, 400))
            same = _charged(here, rates, amount), await _charged_there(there, rates, amount)
            if isinstance(same[0], TokenCharge) and isinstance(same[1], TokenCharge):
                open_charges.append((same[0], same[1], rates))
                same = same[0].quota, same[1].quota  # type: ignore[assignment]  # of both alike
        elif what == "settle" and open_charges:
            first, second, charged = open_charges.pop(choose.randrange(len(open_charges)))
            used, answered = choose.choice((0, 5, 500)), choose.choice((charged, rates))
            here.settle(first, used, answered)
            there.settle(second, used, answered)
            await there.until_settled()
            continue
        else:
            clock.now += choose.choice(PAUSES)
            await _set(server, clock.now)
            continue
        assert same[0] == same[1], f"step {step}, {what}: {same}"
    return steps


def _charged(rates: TokenRates, several: tuple[TokenRate, ...], amount: int) -> TokenCharge | tuple[object, float | None]:
    try:
        return rates.charge(several, amount)
    except QuotaExceeded as refused:
        return refused.quota, refused.retry_after


async def _charged_there(
    rates: ServerTokenRates, several: tuple[TokenRate, ...], amount: int
) -> TokenCharge | tuple[object, float | None]:
    try:
        return await rates.admit(several, amount)
    except QuotaExceeded as refused:
        return refused.quota, refused.retry_after


async def _set(server: LimitsServer, seconds: float) -> None:
    await server._client.execute_command(*ServerClock.words(seconds))
