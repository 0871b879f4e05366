"""Hears what other processes tell over PostgreSQL (NOTIFY), on a connection of its own.

What is told while it is not connected is lost. So each new connection counts as news, and so does
another answer to the probe, which is asked twice a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import psycopg

from ..errors import ConfigError
from .postgres import AsyncBoundedConnection, connect_async
from .postgres_url import PostgresUrl

LOG = logging.getLogger("app.kit")
PROBE_SECONDS = 0.5
PAUSE_SECONDS = 0.5


class PostgresListener:
    """For one event loop."""

    def __init__(
        self,
        url: PostgresUrl,
        channel: str,
        on_news: Callable[[str], None],
        enter: Callable[[AsyncBoundedConnection], Awaitable[None]] | None = None,
        probe: str = "SELECT 1",
    ) -> None:
        """*on_news* gets what was told; an empty text where anything may have changed.

        *enter*: what to do on each new connection, such as taking a lock that ends with it.
        *probe*: gives one row, another one after a change.
        """
        self._url, self._channel, self._on_news, self._enter = url, channel, on_news, enter
        self._probe = probe.encode()
        self.is_connected = False

    async def run(self) -> None:
        """Until cancelled. A lost connection is opened again."""
        while True:
            try:
                await self._connect_and_listen()
            except (psycopg.Error, ConfigError, OSError):  # who reads the database reports that it is gone
                pass
            except Exception:  # if it ended, nobody would hear of changes any more
                LOG.exception("Listening to %s failed unexpectedly. It is tried again.", self._url)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _connect_and_listen(self) -> None:
        connection = await connect_async(self._url)
        try:
            await self._listen(connection)
        finally:
            self.is_connected = False
            connection.pgconn.finish()

    async def _listen(self, connection: AsyncBoundedConnection) -> None:
        await connection.execute(f'LISTEN "{self._channel}"')
        if self._enter is not None:
            await self._enter(connection)
        self.is_connected, state = True, None
        while True:
            before, state = state, await (await connection.execute(self._probe)).fetchone()
            if state != before:
                self._on_news("")
            async for told in connection.notifies(timeout=PROBE_SECONDS):
                self._on_news(told.payload)
