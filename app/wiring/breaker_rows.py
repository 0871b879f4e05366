"""Breakers of several machines: what one opens or closes, the others open or close, too.

Each machine counts by itself, in memory. Only the changes go over PostgreSQL, so a question never
waits for it, and each machine tries by itself whether a server is back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial

import psycopg

from ..errors import ServerUnavailable
from ..kit.postgres import AsyncBoundedConnection, connect
from ..kit.postgres_url import PostgresUrl
from ..kit.postgres_work import PostgresWork
from ..upstream.resilience.breaker import Breaker
from .breakers import SharedBreakers

TELL = """INSERT INTO assistant.breakers (server, open_until, changed_by) VALUES (%s, now() + %s * interval '1 second', %s)
ON CONFLICT (server) DO UPDATE SET open_until = excluded.open_until, changed_by = excluded.changed_by, changed_at = now()"""
READ = "SELECT server, extract(epoch FROM open_until - now())::float8, changed_by, changed_at FROM assistant.breakers"
OPERATOR = ""
"""Who changed it, where no machine did."""


class BreakerRows:
    """For one worker."""

    def __init__(self, url: PostgresUrl, node: str, breakers: SharedBreakers) -> None:
        self._node, self._breakers = node, breakers
        self._seen: dict[str, datetime] = {}
        self.work = PostgresWork(url, "Breakers are not told to other machines")

    def tell(self, breaker: Breaker) -> None:
        """It has just opened or closed, on this machine."""
        self.work.later(partial(self._write, breaker))

    def news(self) -> None:
        """Another machine may have told of one."""
        self.work.later(self._read)

    async def _write(self, breaker: Breaker, connection: AsyncBoundedConnection) -> None:
        """How it is now, until that stands: another worker may have told of a later change."""
        told: bool | None = None
        while told is not breaker.is_open:
            told = breaker.is_open
            await connection.execute(TELL, [breaker.name, breaker.seconds_left if told else None, self._node])

    async def _read(self, connection: AsyncBoundedConnection) -> None:
        for server, seconds, by, at in await (await connection.execute(READ)).fetchall():
            is_first, is_news = server not in self._seen, self._seen.get(server) != at
            self._seen[server] = at
            breaker = self._breakers.by_name.get(server)
            if breaker is None or not is_news or by == self._node:
                continue
            if seconds is not None and seconds > 0:
                breaker.open_for(seconds)
            elif seconds is None and not is_first:
                breaker.reset()


def told(url: PostgresUrl) -> dict[str, float]:
    """The servers that were told of, and for how many seconds each is not asked yet.

    Raises Unavailable.
    """
    with _faults(url), connect(url) as connection:
        rows = connection.execute(READ).fetchall()
    return {server: max(0.0, seconds or 0.0) for server, seconds, *_ in rows}


def close_everywhere(url: PostgresUrl, server: str) -> None:
    """By an operator. Raises Unavailable."""
    with _faults(url), connect(url) as connection:
        connection.execute(TELL, [server, None, OPERATOR])


@contextmanager
def _faults(url: PostgresUrl) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise ServerUnavailable(f"The breakers in {url} cannot be used now: {url.what_failed(error)}.", retry_after=1) from error
