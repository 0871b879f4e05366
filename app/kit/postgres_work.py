"""Small pieces of work over PostgreSQL that nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg

from ..errors import ConfigError
from .postgres import AsyncBoundedConnection, connect_async
from .postgres_url import PostgresUrl

LOG = logging.getLogger("app.kit")
Work = Callable[[AsyncBoundedConnection], Coroutine[Any, Any, None]]


class PostgresWork:
    """For one event loop. What fails is logged, and left to the next occasion."""

    def __init__(self, url: PostgresUrl, what: str) -> None:
        """*what* could not be done, for the log."""
        self._url, self._what = url, what
        self._tasks = set[asyncio.Task[None]]()

    def later(self, work: Work) -> None:
        """On a connection of its own."""
        task = asyncio.create_task(self._do(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _do(self, work: Work) -> None:
        try:
            connection = await connect_async(self._url)
            try:
                await work(connection)
            finally:
                connection.pgconn.finish()
        except (psycopg.Error, ConfigError) as error:
            LOG.warning("%s: %s.", self._what, self._url.what_failed(error))
