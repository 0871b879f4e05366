"""Transactions on the client database from an event loop. Every failure is Unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Table, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ...kit.finished import finished
from ...kit.postgres_url import PostgresUrl
from ..models import Client
from .database import TIMEOUT_SECONDS, Where, configure, database_faults, database_url, engine_options
from .tables import generation

Record = Callable[[], Awaitable[object]]
"""Records a change in the log: durable on return."""
Verify = Callable[[Sequence[Client]], None]
"""May refuse a change. Gets all clients as they were before it, in its transaction."""
_turns: WeakKeyDictionary[Engine, asyncio.Lock] = WeakKeyDictionary()


async def unrecorded() -> None:
    """For a change that no record tells of."""


def open_async_engine(where: Where, timeout: float = TIMEOUT_SECONDS) -> AsyncEngine:
    if isinstance(where, PostgresUrl):
        from . import postgres_database  # late: only where it is configured

        return postgres_database.open_async_engine(where, timeout)
    url = database_url("sqlite+aiosqlite", where)
    engine = create_async_engine(url, **engine_options(timeout), pool_timeout=timeout)
    configure(engine.sync_engine)
    return engine


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection, for TIMEOUT_SECONDS in all: a server may be late at each step of the way.

    Everything that is not committed when it closes is rolled back.
    """
    async with _in_time(TIMEOUT_SECONDS if _is_postgres(engine) else None), _connection(engine) as connection:
        yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine, record: Record = unrecorded) -> AsyncIterator[AsyncConnection]:
    """One transaction that holds the write lock from its start and raises the generation.

    All or nothing. *record* is called last, once all checks have passed: nothing is committed if it
    raises. docs/decisions/0011 says what a crash leaves.
    """
    async with locked(engine) as connection:
        yield connection
        await connection.execute(generation.update().values(value=generation.c.value + 1))
        await record()
        await connection.commit()


@asynccontextmanager
async def locked(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that holds the write lock; the caller commits.

    One of this process at a time: those that wait for the lock take no connection from readers.
    """
    turn = _turns.setdefault(engine.sync_engine, asyncio.Lock())
    async with _in_time(TIMEOUT_SECONDS):
        await turn.acquire()
    try:
        async with _connection(engine) as connection:
            await _hold_write_lock(connection)
            yield connection
    finally:
        turn.release()


@asynccontextmanager
async def _in_time(seconds: float | None) -> AsyncIterator[None]:
    with database_faults():
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise PoolTimeout("it did not answer in time") from None


@asynccontextmanager
async def _connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """aiosqlite opens a file on a thread that a cancellation does not stop: it is waited for."""
    with database_faults():
        connection = engine.connect()
        try:
            await (connection.start() if _is_postgres(engine) else finished(connection.start()))
            yield connection
        finally:
            if connection.sync_connection is not None:
                await asyncio.shield(connection.close())


async def _hold_write_lock(connection: AsyncConnection) -> None:
    """One process at a time from here on, until the end of the transaction."""
    if _is_postgres(connection):
        await connection.execute(select(generation.c.value).with_for_update())
    else:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")


async def begin_snapshot(connection: AsyncConnection) -> None:
    """All that the transaction reads is of one moment."""
    await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ" if _is_postgres(connection) else "BEGIN")


def upsert(connection: AsyncConnection, table: Table) -> Any:
    """An insert that may say what happens to a row that is there."""
    if not _is_postgres(connection):
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # late: only where it is configured

    return postgresql.insert(table)


def _is_postgres(database: AsyncConnection | AsyncEngine) -> bool:
    return database.dialect.name == "postgresql"
