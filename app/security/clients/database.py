"""The database of the clients: a SQLite file or PostgreSQL. How it is opened, and failures told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from ...errors import ConfigError, ServerUnavailable, Unavailable
from ...kit.postgres_url import PostgresUrl

Where = Path | PostgresUrl
"""Of the database: the file of SQLite, or PostgreSQL's URL. Both are fit for messages."""
TIMEOUT_SECONDS = 5.0
"""How long to wait for another process's write lock."""

REASONS = {
    sqlite3.SQLITE_BUSY: "another process holds its lock; try again",
    sqlite3.SQLITE_LOCKED: "another process holds its lock; try again",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "this user may not write it, or its folder",
    sqlite3.SQLITE_PERM: "this user may not use it",
    sqlite3.SQLITE_CANTOPEN: "it is missing, or this user may not open it",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_CORRUPT: "it is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "it is no SQLite database",
}


@contextmanager
def connected(where: Where, timeout: float) -> Iterator[Connection]:
    """A connection for code that runs without an event loop.

    Raises Unavailable, or ConfigError if the file is not a SQLite database.
    """
    engine = _open_engine(where, timeout)
    try:
        with database_faults(), engine.connect() as connection:
            yield connection
    except Unavailable as error:
        if _fault(error) == sqlite3.SQLITE_NOTADB:
            raise ConfigError(f"DATABASE_URL: {where} is not a SQLite database: name another file.") from None
        with faults_named(where):
            raise


def _open_engine(where: Where, timeout: float) -> Engine:
    if isinstance(where, PostgresUrl):
        from .postgres_database import open_engine  # late: only where it is configured

        return open_engine(where)
    engine = create_engine(database_url("sqlite", where), **engine_options(timeout), poolclass=NullPool)
    configure(engine)
    return engine


@contextmanager
def database_faults() -> Iterator[None]:
    """Raise Unavailable for every failure of the database or the connection pool."""
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        raise Unavailable(
            "The client database cannot be used now. Try again later.",
            retry_after=1,
        ) from error


@contextmanager
def faults_named(where: Where) -> Iterator[None]:
    """For an operator: say which database cannot be used and why. A caller is not told."""
    try:
        yield
    except Unavailable as error:
        cause = error.__cause__
        if not isinstance(cause, DBAPIError | PoolTimeout | sqlite3.Error):
            raise
        if isinstance(where, PostgresUrl):
            reason = where.what_failed(cause.orig if isinstance(cause, DBAPIError) else cause)
        else:
            reason = REASONS.get(_fault(error) & 0xFF, "SQLite says no more")
        raise ServerUnavailable(
            f"The client database {where} cannot be used now: {reason}.", retry_after=error.retry_after
        ) from cause


def _fault(error: Unavailable) -> int:
    """SQLite's result code (https://www.sqlite.org/rescode.html); 0 for none."""
    cause = error.__cause__.orig if isinstance(error.__cause__, DBAPIError) else error.__cause__
    return int(getattr(cause, "sqlite_errorcode", None) or 0)


def database_url(driver: str, path: Path) -> URL:
    """With `mode=rw`, a missing file is an error; SQLite would otherwise create an empty one."""
    return URL.create(driver, database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})


def engine_options(timeout: float) -> dict[str, Any]:
    return {"connect_args": {"timeout": timeout}, "hide_parameters": True}  # no digest and no jti in an error


def configure(engine: Engine) -> None:
    """Every connection: WAL, a sync for each commit, foreign keys checked."""
    event.listen(engine, "connect", _set_pragmas)


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
