"""Transactions on the client database from an event loop. Every failure is Unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ...kit.finished import finished
from ...kit.postgres_url import PostgresUrl
from .database import TIMEOUT_SECONDS, Where, configure, database_faults, database_url, engine_options
from .tables import generation

Record = Callable[[], Awaitable[object]]
"""Records a change in the log: durable on return."""


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
    """A connection. Everything that is not committed when it closes is rolled back.

    aiosqlite opens a file on a thread that a cancellation does not stop: it is waited for.
    """
    with database_faults():
        connection = engine.connect()
        try:
            await (connection.start() if _is_postgres(engine) else finished(connection.start()))
            yield connection
        finally:
            if connection.sync_connection is not None:
                await asyncio.shield(connection.close())


@asynccontextmanager
async def writing(engine: AsyncEngine, record: Record = unrecorded) -> AsyncIterator[AsyncConnection]:
    """One transaction that holds the write lock from its start and raises the generation.

    All or nothing. *record* is called last, once all checks have passed: nothing is committed if it
    raises. docs/decisions/0011 says what a crash leaves.
    """
    async with reading(engine) as connection:
        await hold_write_lock(connection)
        yield connection
        await connection.execute(generation.update().values(value=generation.c.value + 1))
        await record()
        await connection.commit()


async def hold_write_lock(connection: AsyncConnection) -> None:
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
