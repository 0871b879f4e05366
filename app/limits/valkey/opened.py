"""The limits of a server opened: its client, and what is counted there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from functools import partial

from ...catalogue.limits_url import LimitsAddress
from ...settings import Settings
from ..rate_limits import Buckets
from .client import open_client
from .keys import Keys
from .limits import ServerLimits
from .server import LimitsServer
from .token_rates import ServerTokenRates


@asynccontextmanager
async def open_server_limits(
    settings: Settings, address: LimitsAddress, buckets: Buckets
) -> AsyncIterator[tuple[ServerLimits, ServerTokenRates]]:
    connect = partial(open_client, address, password_of(settings, address))
    server = LimitsServer(connect, Keys(settings.audit_origin), settings.limits_timeout_seconds)
    nodes = settings.limits_nodes if settings.limits_down == "local_share" else None
    try:
        await server.open()
        with closing(ServerTokenRates(settings.audit_log_path, server, nodes)) as token_rates:
            yield ServerLimits(buckets, server, settings), token_rates
            await token_rates.until_settled()
    finally:
        await server.aclose()


def password_of(settings: Settings, address: LimitsAddress) -> Callable[[], str] | None:
    """Read from its file at each connection."""
    file, password = settings.limits_password_file, address.password
    if file is not None:
        return lambda: file.read_text().strip()
    return None if password is None else lambda: password
