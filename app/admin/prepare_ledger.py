"""Makes the ledger in the database of AUDIT_URL, and the role that may read it and append to it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ..audit.storage.postgres.place import LedgerPlace
from ..errors import ConfigError
from ..kit.postgres_faults import what_failed
from ..kit.postgres_url import PostgresUrl
from ..settings import load_settings
from .env_file import new_secret


@dataclass(frozen=True, slots=True)
class Prepared:
    role: str
    is_new_role: bool
    has_password: bool
    """Of a new role: the one in AUDIT_URL or AUDIT_PASSWORD_FILE."""
    is_new_ledger: bool


def prepare_ledger(role: str | None = None) -> Prepared:
    """*role*: by default the one in AUDIT_URL. Safe to repeat: what is there is kept.

    Needs no other setting, because it is run before `init`. Raises ConfigError.
    """
    ledger = load_settings(secret_key=new_secret()).ledger
    if ledger is None:
        raise ConfigError("AUDIT_URL is not set: it names the database of the ledger, and the role of the service.")
    if ledger.admin_url is None:
        raise ConfigError(
            "Set AUDIT_ADMIN_URL for this command: it names the same database, as one who may make roles and schemas."
        )
    import psycopg  # late: an extra

    from ..audit.storage.postgres.session import conninfo  # late: its driver is an extra

    try:
        with closing(psycopg.connect(conninfo(ledger, ledger.admin_url), autocommit=True)) as connection:
            return _prepare(connection, ledger, role)
    except psycopg.Error as error:
        raise ConfigError(f"AUDIT_ADMIN_URL: {what_failed(error)}.") from error


def _prepare(connection: Any, ledger: LedgerPlace, role: str | None) -> Prepared:
    from psycopg import sql  # late: an extra

    from ..audit.storage.postgres.prepare import prepare  # late: its driver is an extra

    given = PostgresUrl(ledger.url, "AUDIT_URL", ledger.password_file).parameters()
    role = role or str(given.get("user") or "")
    if not role:
        raise ConfigError("AUDIT_URL names no role: write postgresql://ROLE@HOST/DATABASE.")
    password = str(given.get("password") or "") if role == given.get("user") else ""
    is_new_role = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None
    if is_new_role:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        if password:  # what the server may log is a digest
            digest = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(digest)))
    return Prepared(role, is_new_role, bool(password), prepare(connection, role))
