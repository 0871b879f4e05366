"""The schema: made once, upgraded, checked at every start, and never in a file that is not ours."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from app.errors import AppError, ConfigError
from app.security.clients.database import connected
from app.security.clients.migrations import FOLDER, SCHEMA_REVISION, create_or_upgrade_database
from app.security.clients.store import open_clients
from app.security.clients.tables import metadata
from app.security.models import NEVER, Revocations
from app.security.roles import ASK

from ....support.client_database import python, use


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "clients.sqlite3"
    create_or_upgrade_database(path)
    return path


def execute(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def revoked(path: Path) -> tuple[int, set[str]]:
    """The generation, and what is refused."""
    with connected(path, 1) as connection:
        rows = connection.exec_driver_sql("SELECT jti FROM revocations WHERE expires_at = ?", (NEVER,)).scalars()
        return connection.exec_driver_sql("SELECT value FROM generation").scalar_one(), set(rows)


def test_the_revision_the_newest_migration_and_the_tables_are_the_same(path: Path) -> None:
    assert ScriptDirectory(str(FOLDER)).get_current_head() == SCHEMA_REVISION
    with connected(path, 1) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_the_tables_are_made_from_nothing_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "50% of #1 \u00e9" / "clients.sqlite3"
    before = os.umask(0)
    try:
        assert create_or_upgrade_database(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not create_or_upgrade_database(path), "nothing is left to do"
    finally:
        os.umask(before)
    assert use(path) == Revocations(1, frozenset(), frozenset(), {"alice": frozenset([ASK])})
    assert [entry.name for entry in path.parent.parent.iterdir()] == [path.parent.name]


def test_what_sqlite_puts_beside_the_file_is_for_the_owner_alone_too(path: Path) -> None:
    path.chmod(0o644)
    with connected(path, 1):
        assert not create_or_upgrade_database(path), "init tightens what it finds"
        found = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    assert found == {path.name + suffix: 0o600 for suffix in ("", "-wal", "-shm")}


def test_init_ends_what_a_killed_init_began(path: Path) -> None:
    path.write_bytes(b"")
    assert create_or_upgrade_database(path)
    assert use(path).generation == 1


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        ("DROP TABLE alembic_version", "older than this version: run python -m app init"),
        ("DELETE FROM alembic_version", "older than this version: run python -m app init"),
        ("UPDATE alembic_version SET version_num = '0000'", "older than this version: run python -m app init"),
        ("UPDATE alembic_version SET version_num = '9999'", "newer version: install that one"),
    ],
)
def test_a_schema_of_another_time_stops_the_start_and_says_what_to_do(path: Path, spoil: str, sentence: str) -> None:
    execute(path, spoil)
    with pytest.raises(ConfigError, match=f"{path} .*{sentence}"):
        open_clients(path)


def test_a_key_that_is_deleted_by_hand_is_revoked_also_with_its_client(path: Path) -> None:
    use(path)  # adds alice
    for key_id in ("a" * 11, "b" * 11):
        execute(path, f"INSERT INTO keys VALUES ('{key_id}', 'alice', '', 'none', NULL, NULL, 0, NULL, 0)")
    execute(path, f"DELETE FROM keys WHERE key_id = '{'a' * 11}'")
    assert revoked(path) == (2, {"a" * 11})
    execute(path, "DELETE FROM clients")
    assert revoked(path) == (3, {"a" * 11, "b" * 11})


def test_a_missing_database_stops_the_start_and_is_not_made_by_it(tmp_path: Path) -> None:
    path = tmp_path / "clients.sqlite3"
    with pytest.raises(ConfigError, match=r"no client database .* run python -m app init"):
        open_clients(path)
    assert not path.exists()


def test_init_touches_no_file_that_is_not_ours(tmp_path: Path, path: Path) -> None:
    execute(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match=f"The client database {path} comes from a newer version: .*run python -m app init"):
        create_or_upgrade_database(path)
    execute(tmp_path / "other", "CREATE TABLE clients (x)")
    with pytest.raises(ConfigError, match="another application"):
        create_or_upgrade_database(tmp_path / "other")
    (tmp_path / "text").write_text("not a database\n" * 100)
    for act in (create_or_upgrade_database, open_clients):
        with pytest.raises(ConfigError, match="not a SQLite database"):
            act(tmp_path / "text")
    with pytest.raises(ConfigError, match="cannot be made or changed by this user: "):
        create_or_upgrade_database(tmp_path / "text" / "clients.sqlite3")
    with pytest.raises(AppError):
        create_or_upgrade_database(tmp_path)
    assert (tmp_path / "text").read_text() == "not a database\n" * 100


def test_the_check_of_the_schema_imports_neither_alembic_nor_the_orm() -> None:
    code = "import sys, app.security.clients.migrations as _; print({'alembic', 'sqlalchemy.orm', 'aiosqlite'} & {*sys.modules})"
    out, problems = python(code).communicate(timeout=60)
    assert out.strip() == "set()", problems
