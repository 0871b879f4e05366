"""How every connection to the client database is opened, and what its failures become."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import ConfigError, Unavailable
from app.security.clients.database import connected, database_faults
from app.security.clients.migrations import create_or_upgrade_database
from app.security.clients.transactions import open_async_engine


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "50% of #1 é?.sqlite3"
    create_or_upgrade_database(path)
    return path


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
