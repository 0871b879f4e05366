"""Small pieces of work over PostgreSQL that nobody waits for."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg

from ..errors import ConfigError
from .postgres import AsyncBoundedConnection, connect_async
from .postgres_url import PostgresUrl

LOG = logging.getLogger("app.kit")
Work = Callable[[AsyncBoundedConnection], Coroutine[Any, Any, None]]


class PostgresWork:
    """For one event loop, in order. What fails is logged, and left to the next occasion."""

    def __init__(self, url: PostgresUrl, what: str) -> None:
        """*what* could not be done, for the log."""
        self._url, self._what = url, what
        self._waiting = deque[Work]()
        self._task: asyncio.Task[None] | None = None

    def later(self, work: Work) -> None:
        """After what was given before; not at all if the same waits already."""
        if work not in self._waiting:
            self._waiting.append(work)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._do_all())

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _do_all(self) -> None:
        """On one connection, which ends with the work. A failure ends all that waits."""
        try:
            connection = await connect_async(self._url)
            try:
                while self._waiting:
                    await self._waiting.popleft()(connection)
            finally:
                connection.pgconn.finish()
        except (psycopg.Error, ConfigError, OSError) as error:
            self._waiting.clear()
            LOG.warning("%s: %s.", self._what, self._url.what_failed(error))
        except Exception:  # a fault of ours: nobody awaits this task, so it is told here
            self._waiting.clear()
            LOG.exception("%s, which is unexpected.", self._what)
