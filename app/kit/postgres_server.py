"""What a PostgreSQL server says of itself, and of the connection to it. Imports no driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LEAST_VERSION = 14
"""Older ones are refused."""
NAMES = ("server_version_num", "synchronous_standby_names", "synchronous_commit", "fsync", "full_page_writes")
LOOPBACK = ("127.", "::1")


@dataclass(frozen=True, slots=True)
class ServerFacts:
    settings: Mapping[str, str]
    """Those of NAMES, as they hold on this connection."""
    role: str
    is_superuser: bool
    is_standby: bool
    is_pooled: bool
    """A pooler such as PgBouncer stands between: it makes up the number of the backend process."""
    is_protected: bool
    """Nobody in between can read or pretend: verified TLS, a Unix socket, or this machine."""

    @property
    def version(self) -> int:
        """The major version."""
        return int(self.settings["server_version_num"]) // 10_000


def read_facts(connection: Any) -> ServerFacts:
    """*connection*: psycopg's, in autocommit mode. Raises psycopg.Error."""
    settings = dict(connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [list(NAMES)]).fetchall())
    row = connection.execute(
        "SELECT pg_backend_pid(), pg_is_in_recovery(), current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
    ).fetchone()
    assert row is not None, "each connection has a role"
    backend, is_standby, role, is_superuser = row
    is_pooled = backend != connection.info.backend_pid
    return ServerFacts(settings, role, is_superuser, is_standby, is_pooled, _is_protected(connection))


def _is_protected(connection: Any) -> bool:
    host = connection.info.hostaddr or connection.info.host
    if not host or host.startswith(("/", "@", *LOOPBACK)):
        return True
    return bool(connection.pgconn.ssl_in_use) and connection.info.get_parameters().get("sslmode") in ("verify-full", "verify-ca")
