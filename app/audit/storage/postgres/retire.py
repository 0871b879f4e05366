"""Ends the present log of a ledger and begins another: `init --new-log`. For an administrator.

The schema is renamed with all that is in it, and loses its functions, so that nothing can be added
to it any more. All of it is one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from ....errors import AuditUnavailable, ConfigError
from ....kit.command import command
from ....kit.postgres_faults import what_failed
from ...format.record import EMPTY, LogEnd
from ..store import Batch
from .load import load
from .place import LedgerPlace
from .prepare import grant, make_schema
from .session import conninfo

END = "SELECT size, last_seq, hash FROM audit.batches ORDER BY last_seq DESC LIMIT 1"
GRANTED = (
    "SELECT DISTINCT grantee FROM information_schema.role_table_grants WHERE table_schema = 'audit' AND table_name = 'lines'"
)
DROPPED = "SELECT format('DROP FUNCTION %s', p.oid::regprocedure) FROM pg_proc p WHERE p.pronamespace = 'audit'::regnamespace"


def retire(place: LedgerPlace, build: Callable[[LogEnd | None, str | None], Batch]) -> None:
    """As AuditStore.retire. Raises AuditUnavailable; ConfigError without an administrator."""
    if place.admin_url is None:
        raise ConfigError(
            f"Only an administrator may begin another log: run {command('init --new-log')} with AUDIT_ADMIN_URL set."
        )
    try:
        with closing(psycopg.connect(conninfo(place, place.admin_url), autocommit=True)) as connection:
            connection.execute("SET synchronous_commit = on")
            warnings: list[str] = []
            connection.add_notice_handler(lambda one: warnings.append(f"{one.severity_nonlocalized} {one.message_primary}"))
            with connection.transaction():
                _replace(connection, build)
            if any(one.startswith("WARNING") for one in warnings):
                raise AuditUnavailable(f"Another log was begun, and is perhaps not durable: {warnings[-1]}.")
    except psycopg.Error as error:
        raise AuditUnavailable(f"The ledger in AUDIT_URL cannot be replaced: {what_failed(error)}.") from error


def _replace(connection: psycopg.Connection[Any], build: Callable[[LogEnd | None, str | None], Batch]) -> None:
    connection.execute("LOCK TABLE audit.gate IN EXCLUSIVE MODE")
    row = connection.execute(END).fetchone()
    end = None if row is None else LogEnd(*row)
    kept_as = None if end is None else f"audit_retired_{datetime.now(UTC):%Y%m%dt%H%M%S%f}z"
    batch = build(end, kept_as)
    (step,) = connection.execute("SELECT partition_records FROM audit.ledger").fetchone() or (1,)
    roles = [role for (role,) in connection.execute(GRANTED).fetchall()]
    for (drop,) in connection.execute(DROPPED).fetchall():
        connection.execute(drop)
    if kept_as is None:
        connection.execute("DROP SCHEMA audit CASCADE")
    else:
        connection.execute(sql.SQL("ALTER SCHEMA audit RENAME TO {}").format(sql.Identifier(kept_as)))
    make_schema(connection, step)
    for role in roles:
        grant(connection, role)
    load(connection, batch.data, EMPTY)
