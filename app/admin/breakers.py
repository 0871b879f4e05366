"""What an operator does to the breakers of a running service."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from ..errors import InvalidRequest
from ..kit.command import command
from ..kit.postgres_url import PostgresUrl
from ..settings import Settings, load_settings
from ..upstream.resilience.breaker import Breaker
from ..wiring.breakers import breaker_files, file_name
from .operator import Operating, operating


@dataclass(frozen=True, slots=True)
class BreakerState:
    server: str
    is_open: bool
    seconds_left: float
    """Until one question is let through; 0 if it is closed, or waits for one."""
    failures: int
    """In a row, until now."""


def list_breakers(settings: Settings | None = None) -> list[BreakerState]:
    """By the names of the servers; empty while no service runs. Nothing is recorded.

    *settings*: of the service; None: as they can be read. Blocks. Raises Unavailable.
    """
    settings = settings or load_settings()
    found = {server: BreakerState(server, seconds > 0, seconds, 0) for server, seconds in _told(settings).items()}
    found |= {one.server: one for one in breakers_here(settings)}
    return sorted(found.values(), key=lambda one: one.server)


def breakers_here(settings: Settings) -> list[BreakerState]:
    """As `list_breakers`, without what other machines have told."""
    found = []
    for file in breaker_files(settings.audit_log_path):
        breaker = Breaker(Breaker.server_of(file), file=file)
        found.append(BreakerState(breaker.name, breaker.is_open, breaker.seconds_left, breaker.failures))
        breaker.close()
    return sorted(found, key=lambda one: one.server)


async def close_breaker(server: str, by: Operating = operating, settings: Settings | None = None) -> None:
    """Its server is asked again at once, by all machines.

    Raises InvalidRequest if it has none, AuditUnavailable, Unavailable.
    """
    settings = settings or load_settings()
    files = [file for file in breaker_files(settings.audit_log_path) if file.name == file_name(server)]
    if not files and server not in await asyncio.to_thread(_told, settings):
        raise InvalidRequest(
            f"There is no breaker of a server of that name here: {command('breaker list')} shows those of a running service."
        )
    async with by() as operator:
        await operator.record("breaker.closed", server=server)
        if isinstance(settings.database, PostgresUrl):
            from ..wiring.breaker_rows import close_everywhere  # late: its driver is an extra

            await asyncio.to_thread(close_everywhere, settings.database, server)
        for file in files:
            breaker = Breaker(server, file=file)
            breaker.reset()
            breaker.close()


def _told(settings: Settings) -> dict[str, float]:
    """What machines have told each other, if there are several."""
    if not isinstance(settings.database, PostgresUrl):
        return {}
    from ..wiring.breaker_rows import told  # late: its driver is an extra

    return told(settings.database)
