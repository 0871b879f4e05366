"""The schema of the client database: check it, create it, upgrade it.

To add a revision, write a file in `versions` that names the one before it, and raise
`SCHEMA_REVISION`. A test compares both with the tables in `..tables`. Two releases may run side by
side on PostgreSQL: docs/explanation/shared-database says what a revision
may do.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from ....errors import ConfigError
from ....kit.command import command
from ....kit.durable_files import sync_folder
from ....kit.postgres_url import PostgresUrl
from ..database import TIMEOUT_SECONDS, Where, connected
from ..tables import POSTGRES_SCHEMA

SCHEMA_REVISION = "0005"
"""The newest revision in `versions`, which this code reads and writes. Revisions sort by age."""

FOLDER = Path(__file__).parent
INIT = f"run {command('init')}"


def verify_schema(where: Where, timeout: float = TIMEOUT_SECONDS) -> None:
    """Raise ConfigError unless the database has the tables that this code knows.

    Does not import Alembic.
    """
    if isinstance(where, Path):
        _verify_file(where)
    with connected(where, timeout) as connection:
        if isinstance(where, PostgresUrl):
            from ..postgres_database import verify_direct  # late: only where it is configured

            verify_direct(where, connection)
        found, oldest = _revision(connection), _oldest_code(connection)
    if found is None and isinstance(where, PostgresUrl):
        raise ConfigError(f"There are no clients in the database {where}. Restore it, or make it ready: {INIT}.")
    if found is None or found < SCHEMA_REVISION:
        raise ConfigError(f"The client database {where} is older than this version: {INIT}.")
    if found > SCHEMA_REVISION and (oldest is None or oldest > SCHEMA_REVISION):
        raise ConfigError(_newer(where))


def _verify_file(path: Path) -> None:
    try:
        exists = path.is_file()
    except OSError as error:
        raise ConfigError(f"DATABASE_URL: {path} cannot be read by this user: {error.strerror}.") from error
    if not exists:
        raise ConfigError(f"There is no client database at {path}. Restore it, or make an empty one: {INIT}.")


def create_or_upgrade_database(where: Where) -> bool:
    """Bring the database to `SCHEMA_REVISION`, durably; return whether anything was changed.

    It is one transaction under a lock: processes that run it at the same time take turns, and a
    crash leaves the old schema. A file has mode 0600, which SQLite copies to -wal and -shm.
    Raises ConfigError, or Unavailable if the disk is full or the file is locked for 5 s.
    """
    if isinstance(where, PostgresUrl):
        with connected(where, TIMEOUT_SECONDS) as connection:
            return _migrate(where, connection)
    path = where
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_private(path)
        with connected(path, TIMEOUT_SECONDS) as connection:
            changed = _migrate(path, connection)
        for folder in (path.parent, path.parent.parent):
            sync_folder(folder)
    except OSError as error:
        raise ConfigError(f"DATABASE_URL: {path} cannot be made or changed by this user: {error.strerror}.") from error
    return changed


def _migrate(where: Where, connection: Connection) -> bool:
    _hold_off_others(connection)
    found = _revision(connection)
    if found == SCHEMA_REVISION:
        return False
    if found is not None and found > SCHEMA_REVISION:
        raise ConfigError(_newer(where))
    if found is None and inspect(connection).get_table_names(schema=_schema(connection)):
        raise ConfigError(f"DATABASE_URL: {where} holds another application's tables: name another {_kind(where)}.")
    from alembic import command as migration  # late: it takes 0.2 s, and only a schema that changes needs it
    from alembic.config import Config  # late: as above

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    migration.upgrade(config, "head")
    connection.commit()
    return True


def _hold_off_others(connection: Connection) -> None:
    """Until the end of the transaction. PostgreSQL's tables stand in a schema of their own."""
    schema = _schema(connection)
    if schema is None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"{schema} schema"})
    if not inspect(connection).has_schema(schema):
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")


def _revision(connection: Connection) -> str | None:
    """None if no migration has run yet."""
    if not inspect(connection).has_table("alembic_version", schema=_schema(connection)):
        return None
    found = connection.exec_driver_sql("SELECT max(version_num) FROM alembic_version").scalar()
    return None if found is None else str(found)


def _oldest_code(connection: Connection) -> str | None:
    """The SCHEMA_REVISION of the oldest code that may use it; None: only that of its revision."""
    schema = _schema(connection)
    if schema is None or not inspect(connection).has_table("side_by_side", schema=schema):
        return None
    return str(connection.exec_driver_sql("SELECT oldest_code FROM side_by_side").scalar_one())


def _schema(connection: Connection) -> str | None:
    """That of our tables; None in SQLite, which has none."""
    return POSTGRES_SCHEMA if connection.dialect.name == "postgresql" else None


def _kind(where: Where) -> str:
    return "file" if isinstance(where, Path) else "database"


def _newer(where: Where) -> str:
    instead = f", or move the file away and {INIT} for an empty one" if isinstance(where, Path) else ""
    return f"The client database {where} comes from a newer version: install that one{instead}."


def _make_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        # Not by descriptor: closing one would drop the POSIX locks that SQLite holds here.
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).chmod(0o600)
