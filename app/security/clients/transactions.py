"""Transactions on the client database from an event loop. Every failure is Unavailable."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from .database import TIMEOUT_SECONDS, configure, database_faults, database_url, engine_options
from .tables import generation

Record = Callable[[], Awaitable[object]]
"""Records a change in the log: durable on return."""


async def unrecorded() -> None:
    """For a change that no record tells of."""


def open_async_engine(path: Path, timeout: float = TIMEOUT_SECONDS) -> AsyncEngine:
    url = database_url("sqlite+aiosqlite", path)
    engine = create_async_engine(url, **engine_options(timeout), pool_timeout=timeout)
    configure(engine.sync_engine)
    return engine


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection. Everything that is not committed when it closes is rolled back."""
    with database_faults():
        async with engine.connect() as connection:
            yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine, record: Record = unrecorded) -> AsyncIterator[AsyncConnection]:
    """One transaction that holds the write lock from its start and raises the generation.

    All or nothing. *record* is called last, once all checks have passed: nothing is committed if it
    raises. docs/decisions/0011 says what a crash leaves.
    """
    async with reading(engine) as connection:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        await connection.execute(generation.update().values(value=generation.c.value + 1))
        await record()
        await connection.commit()
