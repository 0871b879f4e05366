"""The clients on PostgreSQL: a schema of their own, over connections that never wait long."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from ...errors import ConfigError
from ...kit.postgres import POOLER, connect, connect_async
from ...kit.postgres_url import PostgresUrl
from .tables import POSTGRES_SCHEMA

DIALECT = "postgresql+psycopg://"
POOL = 4
"""Connections of one process, opened when they are needed."""
IDENTITY = (
    "SELECT system_identifier, oid FROM pg_control_system(), pg_database WHERE datname = current_database()",
    "SELECT 0, oid FROM pg_database WHERE datname = current_database()",  # some providers keep the first for themselves
)
OPTIONS: dict[str, Any] = {"hide_parameters": True}  # no digest and no jti in an error
SESSION = {"search_path": POSTGRES_SCHEMA, "synchronous_commit": "on"}


class PostgresPlace:
    """Which database the newest connection of a process has reached.

    A failover to a standby keeps it: both are one database. What a replaced one lacks is noticed
    by its content too.
    """

    what, shows_itself = "another database", False

    def __init__(self, url: PostgresUrl) -> None:
        self.where: Path | PostgresUrl = url
        self._seen = self._accepted = 0

    def identity(self) -> int:
        """Another number for another database; 0 before the first connection."""
        return self._seen

    def is_same(self) -> bool:
        """Whether it is the database that was accepted last. The first one is."""
        return self._seen == self._accepted

    def accept(self, identity: int) -> None:
        self._accepted = identity

    def watch(self, engine: Engine) -> None:
        """Look at every connection that *engine* opens."""
        event.listen(engine, "connect", self._look)

    def _look(self, connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        try:
            cursor.execute(IDENTITY[0])
        except InsufficientPrivilege:
            connection.rollback()
            cursor.execute(IDENTITY[1])
        system, database = cursor.fetchone()
        cursor.close()
        connection.rollback()
        self._seen = (int(system) ^ int(database) << 31) % 2**63 + 1
        self._accepted = self._accepted or self._seen


def verify_direct(url: PostgresUrl, connection: Connection) -> None:
    """Raises ConfigError for a pooler that hides itself, and for a standby."""
    backend, is_standby = connection.exec_driver_sql("SELECT pg_backend_pid(), pg_is_in_recovery()").one()
    driver: Any = connection.connection.driver_connection
    if backend != driver.info.backend_pid:
        raise ConfigError(f"{url.setting} {POOLER}.")
    if is_standby:
        raise ConfigError(f"{url.setting} leads to a standby: name the primary, or add target_session_attrs=read-write.")


def open_engine(url: PostgresUrl) -> Engine:
    """For code without an event loop."""
    return create_engine(DIALECT, **OPTIONS, creator=partial(connect, url, autocommit=False, **SESSION), poolclass=NullPool)


def open_async_engine(url: PostgresUrl, timeout: float) -> AsyncEngine:
    """Each connection is tried before it is used: after a restart of the server all are dead."""
    creator = partial(connect_async, url, autocommit=False, **SESSION)
    pool: dict[str, Any] = {"pool_size": POOL, "max_overflow": 0, "pool_timeout": timeout, "pool_pre_ping": True}
    return create_async_engine(DIALECT, **OPTIONS, **pool, async_creator=creator)
