"""The limits opened: those of LIMITS_URL, or of this machine alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import NamedTuple

from ..catalogue.limits_url import limits_address
from ..errors import ConfigError
from ..settings import Settings
from .limits import Limits
from .rate_limits import Buckets
from .token_rates import TokenRates


class OpenedLimits(NamedTuple):
    limits: Limits
    token_rates: TokenRates


@asynccontextmanager
async def open_limits(settings: Settings) -> AsyncIterator[OpenedLimits]:
    """Raises ConfigError. A server of limits that is down stops no start."""
    with closing(Buckets(settings, settings.limits_nodes or 1)) as buckets:
        if settings.limits_url is None:
            with closing(TokenRates(settings.audit_log_path)) as token_rates:
                yield OpenedLimits(Limits(buckets), token_rates)
            return
        try:
            from .valkey.opened import open_server_limits  # late: only where LIMITS_URL is set
        except ModuleNotFoundError as error:
            sentence = f"LIMITS_URL needs a package that is not installed ({error.name}): install the extra valkey."
            raise ConfigError(sentence) from None
        address = limits_address(settings.limits_url.get_secret_value())
        async with open_server_limits(settings, address, buckets) as (limits, token_rates):
            yield OpenedLimits(limits, token_rates)
