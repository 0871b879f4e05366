"""How every connection to the client database is opened, and what its failures become."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import AuditUnavailable, ConfigError, Unavailable
from app.security.clients.database import connected, database_faults, faults_named
from app.security.clients.transactions import open_async_engine

from ....support.client_database import make_database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "50% of #1 é?.sqlite3")


def test_each_commit_is_synced_and_readers_wait_for_no_writer(path: Path) -> None:
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    with connected(path, 5) as connection:
        assert {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas} == pragmas

    async def in_the_pool() -> None:
        engine = open_async_engine(path)
        async with engine.connect() as one:
            found = {name: (await one.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in pragmas}
        await engine.dispose()
        assert found == pragmas

    asyncio.run(in_the_pool())


def test_a_missing_file_is_unavailable_and_not_created(tmp_path: Path) -> None:
    with pytest.raises(Unavailable), connected(tmp_path / "missing.sqlite3", 1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_kind_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database\n" * 100)
    with pytest.raises(ConfigError, match="is not a SQLite database"), connected(tmp_path / "text", 1):
        pass


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (sqlite3.SQLITE_BUSY, "another process holds its lock; try again"),
        (sqlite3.SQLITE_LOCKED, "another process holds its lock; try again"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "this user may not write it, or its folder"),
        (sqlite3.SQLITE_PERM, "this user may not use it"),
        (sqlite3.SQLITE_CANTOPEN, "it is missing, or this user may not open it"),
        (sqlite3.SQLITE_NOTADB, "it is no SQLite database"),
        (sqlite3.SQLITE_FULL, "the disk is full"),
        (sqlite3.SQLITE_IOERR_FSYNC, "the disk failed"),
        (sqlite3.SQLITE_CORRUPT, "it is damaged; restore it from a backup"),
        (sqlite3.SQLITE_SCHEMA, "SQLite says no more"),
    ],
)
def test_an_operator_is_told_which_file_fails_and_why_and_a_caller_is_not(code: int, reason: str, path: Path) -> None:
    error = sqlite3.OperationalError("secret")
    error.sqlite_errorcode = code
    with pytest.raises(Unavailable) as told, faults_named(path), database_faults():
        raise OperationalError("secret", {}, error)
    assert told.value.detail == f"The client database {path} cannot be used now: {reason}."
    with pytest.raises(Unavailable) as untold, database_faults():
        raise OperationalError("secret", {}, error)
    assert str(path) not in untold.value.detail


def test_an_error_repeats_no_value_of_its_statement(path: Path) -> None:
    statement, value = text("INSERT INTO revocations (jti) VALUES (:jti)"), "a" * 32
    with pytest.raises(Unavailable) as caught, connected(path, 1) as connection:
        connection.execute(statement, {"jti": value})
    assert value not in str(caught.value.__cause__)

    async def in_the_pool() -> str:
        engine = open_async_engine(path)
        with pytest.raises(IntegrityError) as caught:
            async with engine.connect() as connection:
                await connection.execute(statement, {"jti": value})
        await engine.dispose()
        return str(caught.value)

    assert value not in asyncio.run(in_the_pool())


def test_a_fault_of_something_else_keeps_its_words(path: Path) -> None:
    with pytest.raises(AuditUnavailable) as caught, faults_named(path):
        raise AuditUnavailable
    assert caught.value.detail == AuditUnavailable.detail


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("secret"),
        PoolTimeout("secret"),
        OperationalError("secret", {}, sqlite3.OperationalError("secret")),
    ],
    ids=["driver", "pool", "engine"],
)
def test_every_failure_becomes_one_sentence_that_says_to_try_again(error: Exception) -> None:
    with pytest.raises(Unavailable) as caught, database_faults():
        raise error
    assert caught.value.retry_after == 1
    assert "secret" not in caught.value.detail
    assert caught.value.__cause__ is error


def test_errors_of_another_kind_pass_unchanged() -> None:
    with pytest.raises(ZeroDivisionError), database_faults():
        raise ZeroDivisionError
