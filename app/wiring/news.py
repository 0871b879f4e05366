"""Machines that share a database of clients: they hear of changes, and are alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from ..catalogue.models import Catalogue
from ..security.security_log import SecurityLog
from ..settings import Settings
from .breakers import SharedBreakers

CHANNEL = "assistant_changed"


class OtherNodes(Protocol):
    """As this worker sees them."""

    differing: dict[str, list[str]] | None
    """By their names, the settings in which they differ from this machine. None: not compared."""
    on_other_policy: Callable[[], None]
    """One of them has taken another policy file."""

    def use(self, catalogue: Catalogue) -> None:
        """From now on this worker has this policy."""


class Alone:
    """This machine has its clients to itself."""

    differing: dict[str, list[str]] | None = None

    def __init__(self) -> None:
        self.on_other_policy: Callable[[], None] = lambda: None

    def use(self, catalogue: Catalogue) -> None:
        """Nobody is told."""


@asynccontextmanager
async def among_nodes(
    settings: Settings, catalogue: Catalogue, events: SecurityLog, breakers: SharedBreakers, on_clients: Callable[[], None]
) -> AsyncIterator[OtherNodes]:
    """Until the end of the block. *on_clients*: the clients were changed somewhere.

    Whatever was missed while the server could not be reached is looked at after it. Nothing is
    heard where the clients are in a file: its readers look by themselves.
    """
    url = settings.database
    if isinstance(url, Path):
        yield Alone()
        return
    from ..kit.postgres_listener import PostgresListener  # late: only where it is configured
    from .breaker_rows import BreakerRows  # late: as above
    from .nodes import Nodes  # late: as above

    nodes, rows = Nodes(url, settings, catalogue, events), BreakerRows(url, settings.node, breakers)
    breakers.on_change = rows.tell
    acts: Mapping[str, Callable[[], None]] = {"generation": on_clients, "breakers": rows.news, "nodes": nodes.news}

    def hear(table: str) -> None:
        for name, act in acts.items():
            if table in (name, ""):
                act()

    task = asyncio.create_task(PostgresListener(url, CHANNEL, hear, nodes.enter).run())
    try:
        yield nodes
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await nodes.work.aclose()
        await rows.work.aclose()
