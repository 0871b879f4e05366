"""What an operator does to the breakers of a running service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidRequest
from ..kit.command import command
from ..settings import load_settings
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


def list_breakers(log: Path | None = None) -> list[BreakerState]:
    """By the names of the servers; empty while no service runs. Nothing is recorded.

    *log*: of the service; None: as the settings say.
    """
    found = []
    for file in breaker_files(log or load_settings().audit_log_path):
        breaker = Breaker(Breaker.server_of(file), file=file)
        found.append(BreakerState(breaker.name, breaker.is_open, breaker.seconds_left, breaker.failures))
        breaker.close()
    return sorted(found, key=lambda one: one.server)


async def close_breaker(server: str, by: Operating = operating, log: Path | None = None) -> None:
    """Its server is asked again at once. Raises InvalidRequest if it has none, AuditUnavailable."""
    files = [file for file in breaker_files(log or load_settings().audit_log_path) if file.name == file_name(server)]
    if not files:
        raise InvalidRequest(
            f"There is no breaker of a server {server} here: {command('breaker list')} shows those of a running service."
        )
    async with by() as operator:
        await operator.record("breaker.closed", server=server)
        breaker = Breaker(server, file=files[0])
        breaker.reset()
        breaker.close()
