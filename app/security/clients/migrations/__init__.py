"""The schema of the client database: check it, create it, upgrade it.

To add a revision, write a file in `versions` that names the one before it, and raise
`SCHEMA_REVISION`. A test compares both with the tables in `..tables`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, inspect

from ....errors import ConfigError
from ....kit.command import command
from ....kit.durable_files import sync_folder
from ..database import TIMEOUT_SECONDS, connected

SCHEMA_REVISION = "0004"
"""The newest revision in `versions`, which this code reads and writes. Revisions sort by age."""

FOLDER = Path(__file__).parent
INIT = f"run {command('init')}"


def verify_schema(path: Path, timeout: float = TIMEOUT_SECONDS) -> None:
    """Raise ConfigError unless the database has the tables that this code knows.

    Does not import Alembic.
    """
    try:
        exists = path.is_file()
    except OSError as error:
        raise ConfigError(f"DATABASE_URL: {path} cannot be read by this user: {error.strerror}.") from error
    if not exists:
        raise ConfigError(f"There is no client database at {path}. Restore it, or make an empty one: {INIT}.")
    with connected(path, timeout) as connection:
        found = _revision(connection)
    if found is None or found < SCHEMA_REVISION:
        raise ConfigError(f"The client database {path} is older than this version: {INIT}.")
    if found > SCHEMA_REVISION:
        raise ConfigError(_newer(path))


def create_or_upgrade_database(path: Path) -> bool:
    """Bring the database to `SCHEMA_REVISION`, durably; return whether anything was changed.

    It is one transaction under SQLite's write lock: processes that run it at the same time take
    turns, and a crash leaves the old schema. The file has mode 0600, which SQLite copies to -wal
    and -shm. Raises ConfigError, or Unavailable if the disk is full or the file is locked for 5 s.
    """
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


def _migrate(path: Path, connection: Connection) -> bool:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    found = _revision(connection)
    if found == SCHEMA_REVISION:
        return False
    if found is not None and found > SCHEMA_REVISION:
        raise ConfigError(_newer(path))
    if found is None and inspect(connection).get_table_names():
        raise ConfigError(f"DATABASE_URL: {path} holds another application's tables: name another file.")
    from alembic import command as migration  # late: it takes 0.2 s, and only a schema that changes needs it
    from alembic.config import Config  # late: as above

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    migration.upgrade(config, "head")
    connection.commit()
    return True


def _revision(connection: Connection) -> str | None:
    """None if no migration has run yet."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.exec_driver_sql("SELECT max(version_num) FROM alembic_version").scalar()
    return None if found is None else str(found)


def _newer(path: Path) -> str:
    return (
        f"The client database {path} comes from a newer version: install that one, "
        f"or move the file away and {INIT} for an empty one."
    )


def _make_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        # Not by descriptor: closing one would drop the POSIX locks that SQLite holds here.
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                path.with_name(path.name + suffix).chmod(0o600)
