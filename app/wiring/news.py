"""Machines that share a database: they hear of changes, and are alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from ..catalogue.models import Catalogue
from ..errors import ConfigError
from ..security.security_log import SecurityLog
from ..settings import Settings
from .breakers import SharedBreakers

LOG = logging.getLogger("app.nodes")
CHANNEL = "assistant_changed"
POLICY = "policy"
"""What is told with the name of a machine that has read another policy file, and records it."""


class OtherNodes(Protocol):
    """As this worker sees them."""

    differing: dict[str, list[str]] | None
    """By their names, the settings in which they differ from this machine. None: not compared."""
    on_other_policy: Callable[[], None]
    """One of them has, or takes, another policy file."""

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
    heard of clients in a file: its readers look by themselves.
    """
    if isinstance(settings.database, Path) and settings.ledger is None:
        yield Alone()
        return
    from ..kit.postgres_listener import PostgresListener  # late: only where it is configured
    from .breaker_rows import BreakerRows  # late: as above
    from .nodes import Nodes, meeting_place  # late: as above

    place = meeting_place(settings)
    assert place is not None
    nodes = Nodes(place, settings, catalogue, events)
    acts: dict[str, Callable[[], None]] = {"nodes": nodes.news}
    probe = f"SELECT string_agg(n::text, ' ' ORDER BY instance) FROM {place.table} n"  # noqa: S608 - a constant
    async with AsyncExitStack() as opened:
        opened.push_async_callback(nodes.aclose)
        if place.has_clients:
            rows = BreakerRows(place.url, settings.node, breakers)
            opened.push_async_callback(rows.work.aclose)
            breakers.on_change = rows.tell
            acts |= {"generation": on_clients, "breakers": rows.news}
            probe = f"SELECT ({probe}), (SELECT string_agg(b::text, ' ' ORDER BY server) FROM assistant.breakers b)"  # noqa: S608

        def hear(told: str) -> None:
            table, _, node = told.partition(" ")
            if table == POLICY and node != settings.node:
                nodes.on_other_policy()
            for name, act in acts.items():
                if table in (name, ""):
                    act()

        task = asyncio.create_task(PostgresListener(place.url, CHANNEL, hear, nodes.enter, probe).run())
        try:
            yield nodes
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def tell_of_policy(settings: Settings) -> None:
    """The other machines read their policy file now, while this one records what it has read.

    Blocks. Where it fails they hear of it from a worker, once that has the new policy.
    """
    if isinstance(settings.database, Path) and settings.ledger is None:
        return
    import psycopg  # late: only where it is configured

    from ..kit.postgres import connect  # late: as above
    from .nodes import meeting_place  # late: as above

    place = meeting_place(settings)
    assert place is not None
    try:
        with connect(place.url) as connection:
            connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, f"{POLICY} {settings.node}"])
    except (psycopg.Error, ConfigError) as error:
        LOG.warning("Other machines are told of the policy later: %s.", place.url.what_failed(error))
