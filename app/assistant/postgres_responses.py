"""The responses that may be continued, for workers of several machines: in PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import psycopg

from ..audit.format.record import Receipt
from ..errors import ConfigError, Unavailable
from ..kit.postgres import AsyncBoundedConnection, connect_async
from ..kit.postgres_faults import what_failed
from ..kit.postgres_url import PostgresUrl
from .known_responses import MAX_RESPONSES, TIMEOUT_SECONDS, Owner, digest_of

LOG = logging.getLogger("app.assistant")
ADD = """INSERT INTO assistant.responses (owned, seq, hash) VALUES (%s, %s, %s)
ON CONFLICT (owned) DO UPDATE SET seq = excluded.seq, hash = excluded.hash"""
FORGET = "DELETE FROM assistant.responses WHERE n <= (SELECT max(n) FROM assistant.responses) - %s"
FIND = "SELECT seq, hash FROM assistant.responses WHERE owned = %s"


class PostgresResponses:
    """As KnownResponses."""

    def __init__(self, url: PostgresUrl, max_responses: int = MAX_RESPONSES) -> None:
        self._url, self._max = url, max_responses
        self._connection: AsyncBoundedConnection | None = None
        self._turn = asyncio.Lock()

    async def find(self, owner: Owner, response_id: str) -> Receipt | None:
        """The record of that response, if it was this owner's. Raises Unavailable."""
        try:
            rows = await self._run((FIND, [digest_of(owner, response_id)]))
        except (psycopg.Error, ConfigError, TimeoutError) as error:
            LOG.error("Responses cannot be read: %s.", what_failed(error))
            raise Unavailable("Earlier responses cannot be looked up now. Try again later.", retry_after=1) from error
        return Receipt(*rows[0]) if rows else None

    async def remember(self, owner: Owner, response_id: str, receipt: Receipt) -> None:
        """Never raises: a response that is not remembered cannot be continued, and that is all."""
        try:
            await self._run((FORGET, [self._max - 1]), (ADD, [digest_of(owner, response_id), *receipt]))
        except (psycopg.Error, ConfigError, TimeoutError) as error:
            LOG.error("Responses cannot be written, so one cannot be continued: %s.", what_failed(error))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.pgconn.finish()

    async def _run(self, *statements: tuple[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
        """The rows of the last one. A connection that is dead is opened once more."""
        async with asyncio.timeout(TIMEOUT_SECONDS), self._turn:
            if self._connection is not None and not self._connection.closed:
                try:
                    return await _execute(self._connection, statements)
                except psycopg.OperationalError:
                    self._connection.pgconn.finish()
            self._connection = await connect_async(self._url)
            return await _execute(self._connection, statements)


async def _execute(connection: AsyncBoundedConnection, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[tuple[Any, ...]]:
    for statement, values in statements:
        cursor = await connection.execute(statement.encode(), values)
    return [] if cursor.description is None else await cursor.fetchall()
