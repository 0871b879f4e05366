"""Connections to PostgreSQL on which nothing waits for longer than it may.

Of psycopg's insides: a connection's `wait`, through which every query and answer goes. A server
that is stopped or cut off may keep a socket open for hours.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import psycopg
from psycopg import errors, waiting
from psycopg.abc import PQGen

from ..errors import ConfigError
from .postgres_url import PostgresUrl

T = TypeVar("T")
POOLER = "leads to a connection pooler such as PgBouncer: name the PostgreSQL server itself"
CONNECT_SECONDS = 3
ANSWER_SECONDS = 5.0
"""For one statement. What waits longer closes its connection."""
SERVER_SIDE = {
    "lock_timeout": "4s",
    "idle_in_transaction_session_timeout": "20s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "5s",
}
"""What a node that vanished held is free within half a minute."""


WAIT_FOR_STANDBY = "SyncRepWaitForLSN"
"""The function of PostgreSQL that warns where it gives up this wait: the commit is here alone."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed as soon as the server does not answer in time.

    A commit whose wait for a synchronous standby was cancelled fails, too: the server calls that a
    success.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._given_up = _waits_given_up(self)

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        try:
            seconds = ANSWER_SECONDS if timeout is None else timeout
            answer = waiting.wait(gen, self.pgconn.socket, interval=interval, timeout=seconds)
        except errors._WaitTimeout:
            _give_up(self, timeout)
        except BaseException as error:
            _close_if_interrupted(self, error)
            raise
        _verify_replicated(self, self._given_up)
        return answer


class AsyncBoundedConnection(psycopg.AsyncConnection[Any]):
    """The same on an event loop. A cancelled statement closes its connection, too.

    psycopg would ask the server to cancel it, and wait for that.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._given_up = _waits_given_up(self)

    async def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:  # noqa: ASYNC109 - psycopg's
        try:
            seconds = ANSWER_SECONDS if timeout is None else timeout
            answer = await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=seconds)
        except errors._WaitTimeout:
            _give_up(self, timeout)
        except BaseException as error:
            _close_if_interrupted(self, error)
            raise
        _verify_replicated(self, self._given_up)
        return answer


def connect(url: PostgresUrl, *, autocommit: bool = True, **settings: str) -> BoundedConnection:
    """*settings*: of the session, such as search_path. Raises psycopg.Error, ConfigError."""
    with _pooler_refused(url):
        return BoundedConnection.connect(**_options(url, settings), autocommit=autocommit)


async def connect_async(url: PostgresUrl, *, autocommit: bool = True, **settings: str) -> AsyncBoundedConnection:
    """As `connect`. Who fails or is cancelled leaves no half-opened connection behind."""
    try:
        with _pooler_refused(url):
            return await AsyncBoundedConnection.connect(**_options(url, settings), autocommit=autocommit)
    except (asyncio.CancelledError, psycopg.Error) as error:
        # Its frames hold the connection, and SQLAlchemy holds the error until the collector runs.
        raise error.with_traceback(None)  # noqa: B904 - the same error


@contextmanager
def _pooler_refused(url: PostgresUrl) -> Iterator[None]:
    """Locks, settings and notifications belong to a connection, which a pooler hands around."""
    try:
        yield
    except psycopg.OperationalError as error:
        if "unsupported startup parameter" in str(error):
            raise ConfigError(f"{url.setting} {POOLER}.") from None
        raise


def _options(url: PostgresUrl, settings: Mapping[str, str]) -> dict[str, Any]:
    found = url.parameters()
    wanted = {**SERVER_SIDE, **settings}
    options = [found.get("options") or "", *(f"-c {name}={value}" for name, value in wanted.items())]
    found["options"] = " ".join(filter(None, options))
    found.setdefault("connect_timeout", CONNECT_SECONDS)
    found.setdefault("application_name", f"secure-ai-assistant {os.getpid()}")
    return found


def _give_up(connection: BoundedConnection | AsyncBoundedConnection, timeout: float | None) -> NoReturn:
    """A caller with a *timeout* of its own waits for what may not come, such as a notification."""
    if timeout is not None:
        raise
    connection.pgconn.finish()
    raise psycopg.OperationalError("the server did not answer in time") from None


def _close_if_interrupted(connection: BoundedConnection | AsyncBoundedConnection, error: BaseException) -> None:
    """It is not known how far the server has come."""
    if not isinstance(error, Exception):
        connection.pgconn.finish()


def _waits_given_up(connection: BoundedConnection | AsyncBoundedConnection) -> list[str]:
    """What the server will have said of them."""
    said = list[str]()

    def note(diagnostic: errors.Diagnostic) -> None:
        if diagnostic.source_function == WAIT_FOR_STANDBY:
            said.append(diagnostic.message_primary or "")

    connection.add_notice_handler(note)
    return said


def _verify_replicated(connection: BoundedConnection | AsyncBoundedConnection, given_up: list[str]) -> None:
    if given_up:
        connection.pgconn.finish()
        raise psycopg.OperationalError("the server gave up its wait for the standby, so a failover may lose what it committed")
