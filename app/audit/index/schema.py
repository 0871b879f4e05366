"""The SQLite file of the index: its tables, and how it is opened. It may be deleted at any time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ...errors import Unavailable

FORMAT = 1
"""A file of another format is built again."""
BUCKETS_MS = (100, 250, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000)
"""Upper bounds of the times of answers; what takes longer is in one more bucket."""
COUNTS = ("questions", "answered", "failed", "refused", "input", "output", "unpriced_input", "unpriced_output", "nano")
"""Of a day, a principal and a model. *nano*: 10^-9 of the currency, as records say."""
TIMES = tuple(f"ms_{number}" for number in range(len(BUCKETS_MS) + 1))
SUMS = COUNTS + TIMES
COLUMNS = ", ".join(f"{name} INTEGER NOT NULL" for name in SUMS)
TABLES = f"""
CREATE TABLE state (one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER, size INTEGER, seq INTEGER, hash TEXT, time INTEGER);
CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE records (seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, action INTEGER NOT NULL, user INTEGER, model INTEGER);
CREATE INDEX of_user ON records (user, seq);
CREATE INDEX of_action ON records (action, seq);
CREATE INDEX of_model ON records (model, seq);
CREATE INDEX of_time ON records (time);
CREATE VIRTUAL TABLE texts USING fts5
  (tags, text, content = '', prefix = '2', tokenize = "unicode61 remove_diacritics 2 tokenchars '_'");
CREATE TABLE sums (day TEXT, user TEXT, model TEXT, {COLUMNS},
  PRIMARY KEY (day, user, model)) WITHOUT ROWID;
CREATE TABLE refusals (day TEXT, user TEXT, code TEXT, count INTEGER NOT NULL, PRIMARY KEY (day, user, code)) WITHOUT ROWID;
CREATE TABLE open (seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, user TEXT NOT NULL, model TEXT NOT NULL);
CREATE TABLE gaps (seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, seconds REAL NOT NULL);
INSERT INTO state VALUES (1, {FORMAT}, 0, -1, '{"0" * 64}', 0);
"""  # noqa: S608 - names of ours

DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
OF_THE_MACHINE = frozenset(
    getattr(sqlite3, f"SQLITE_{name}") for name in ("BUSY", "CANTOPEN", "FULL", "IOERR", "LOCKED", "NOMEM", "PERM", "READONLY")
)
"""Codes that may pass by themselves, and say nothing of what is in the file."""


def index_path(log: Path) -> Path:
    return log.with_suffix(".index.sqlite3")


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Makes the file and its tables where they are missing. Raises sqlite3.Error."""
    path.touch(0o600, exist_ok=True)
    connection = sqlite3.connect(path, timeout=5, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")  # it is derived: what a loss of power damages is built again
        connection.execute("BEGIN IMMEDIATE")
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
            for statement in TABLES.split(";\n"):
                connection.execute(statement)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def remove(path: Path) -> None:
    """For the builder alone, which has closed it."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


class AnotherFormat(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_NOTADB


def code_of(error: sqlite3.Error) -> int:
    """SQLite's primary code."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def inode_of(path: Path) -> int | None:
    """Which file it is. None: there is none, or an empty one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino if found.st_size else None


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """One snapshot. Raises Unavailable where there is no index that can be read.

    One that is damaged, or of another format, is deleted: then the builder makes a new one.
    """
    inode = inode_of(path)
    try:
        with closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN")
            found = connection.execute("SELECT format FROM state").fetchone()
            if found != (FORMAT,):
                raise AnotherFormat
            yield connection
    except sqlite3.Error as error:
        if code_of(error) in DAMAGED and inode == inode_of(path):
            path.unlink(missing_ok=True)
        raise Unavailable("The index of the records is being built. Try again in a moment.", retry_after=2) from error
