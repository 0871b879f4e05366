"""The SQLite file of the clients: how connections are opened and failures reported."""

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

from ...errors import ConfigError, Unavailable

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
def connected(path: Path, timeout: float) -> Iterator[Connection]:
    """A connection for code that runs without an event loop.

    Raises Unavailable, or ConfigError if the file is not a SQLite database.
    """
    engine = create_engine(database_url("sqlite", path), **engine_options(timeout), poolclass=NullPool)
    configure(engine)
    try:
        with database_faults(), engine.connect() as connection:
            yield connection
    except Unavailable as error:
        if _fault(error) == sqlite3.SQLITE_NOTADB:
            raise ConfigError(f"DATABASE_URL: {path} is not a SQLite database: name another file.") from None
        with faults_named(path):
            raise


@contextmanager
def database_faults() -> Iterator[None]:
    """Raise Unavailable for every failure of SQLite or the connection pool."""
    try:
        yield
    except (DBAPIError, PoolTimeout, sqlite3.Error) as error:
        raise Unavailable(
            "The client database cannot be used now. Try again later.",
            retry_after=1,
        ) from error


@contextmanager
def faults_named(path: Path) -> Iterator[None]:
    """For an operator: say which file cannot be used and why. A caller is not told."""
    try:
        yield
    except Unavailable as error:
        if not isinstance(error.__cause__, DBAPIError | PoolTimeout | sqlite3.Error):
            raise
        reason = REASONS.get(_fault(error) & 0xFF, "SQLite says no more")
        raise Unavailable(
            f"The client database {path} cannot be used now: {reason}.", retry_after=error.retry_after
        ) from error.__cause__


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
