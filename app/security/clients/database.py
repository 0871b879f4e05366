"""The SQLite file behind `DATABASE_URL`: how it is opened, and what its faults are called."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from ...errors import ConfigError, Unavailable
from .tables import generation

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

TIMEOUT_SECONDS = 5.0
"""Seconds to wait for another process's write lock."""


@contextmanager
def database_faults() -> Iterator[None]:
    """Turn what SQLite and the pool raise (full, locked, read-only, gone, damaged) into Unavailable."""
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        raise Unavailable(
            "The client database cannot be used now: it is locked, full, read-only or damaged. Try again later.",
            retry_after=1,
        ) from error


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection whose every failure is Unavailable. What is not committed when it closes is rolled back."""
    with database_faults():
        async with engine.connect() as connection:
            yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One transaction, with the write lock from its start; the generation moves in it. All or nothing."""
    async with reading(engine) as connection:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        await connection.execute(generation.update().values(value=generation.c.value + 1))
        await connection.commit()


def open_async_engine(path: Path, timeout: float = TIMEOUT_SECONDS) -> AsyncEngine:
    from sqlalchemy.ext.asyncio import create_async_engine  # it loads the ORM: 50 ms that only this call pays

    engine = create_async_engine(_url("sqlite+aiosqlite", path), **_options(timeout), pool_timeout=timeout)
    event.listen(engine.sync_engine, "connect", _set_pragmas)
    return engine


def database_path(url: str) -> Path:
    """Return the absolute path of the file that *url* names. Raises ConfigError if it names none."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = URL.create("none")
    plain = parsed.drivername == "sqlite+aiosqlite" and not (parsed.query or parsed.host)
    if not plain or not parsed.database or parsed.database == ":memory:" or "\0" in parsed.database:
        raise ConfigError("DATABASE_URL takes sqlite+aiosqlite:///path/to/file, without options.")
    return Path(parsed.database).absolute()


@contextmanager
def connected(path: Path, timeout: float) -> Iterator[Connection]:
    """For what runs before there is an event loop. Raises Unavailable, or ConfigError for a file of another kind."""
    engine = create_engine(_url("sqlite", path), **_options(timeout), poolclass=NullPool)
    event.listen(engine, "connect", _set_pragmas)
    try:
        with database_faults(), engine.connect() as connection:
            yield connection
    except Unavailable as error:
        cause = error.__cause__.orig if isinstance(error.__cause__, DBAPIError) else error.__cause__
        if getattr(cause, "sqlite_errorcode", None) != sqlite3.SQLITE_NOTADB:
            raise
        raise ConfigError(f"DATABASE_URL: {path} is not a SQLite database: name another file.") from None


def _url(driver: str, path: Path) -> URL:
    """`mode=rw`: a file that is gone stays an error; SQLite would otherwise make an empty one."""
    return URL.create(driver, database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})


def _options(timeout: float) -> dict[str, Any]:
    return {"connect_args": {"timeout": timeout}, "hide_parameters": True}  # digests and jtis stay out of errors


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
