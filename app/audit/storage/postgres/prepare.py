"""Makes the ledger's schema, its owner and the rights of the service. For an administrator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from .nodes_schema import NODES
from .schema import EVERYTHING, FOR_SERVICE, OWNER, PARTITION_RECORDS, VERSION


def prepare(connection: psycopg.Connection[Any], role: str, *, partition_records: int = PARTITION_RECORDS) -> bool:
    """An empty ledger that *role* may read and append to. False: there was one; rights were set.

    *connection*: of a superuser, or of one who may create roles and schemas. In one transaction.
    Raises psycopg.Error.
    """
    with connection.transaction():
        is_new = not _exists(connection, "SELECT FROM pg_namespace WHERE nspname = %s", "audit")
        if is_new:
            make_schema(connection, partition_records)
        elif not _exists(connection, "SELECT FROM pg_class WHERE oid = to_regclass(%s)", "audit.nodes"):
            with as_owner(connection):
                connection.execute(NODES)
        grant(connection, role)
    return is_new


def grant(connection: psycopg.Connection[Any], role: str) -> None:
    """*role* may read everything, call the functions of the service, and nothing else."""
    service = sql.Identifier(role)
    connection.execute("REVOKE ALL ON ALL FUNCTIONS IN SCHEMA audit FROM PUBLIC")
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA audit TO {}").format(service))
    connection.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA audit TO {}").format(service))
    for function in FOR_SERVICE:
        statement = sql.SQL("GRANT EXECUTE ON FUNCTION audit." + function + " TO {}")
        connection.execute(statement.format(service))


def make_schema(connection: psycopg.Connection[Any], partition_records: int = PARTITION_RECORDS) -> None:
    """In the transaction of the caller; all of it is owned by OWNER."""
    if not _exists(connection, "SELECT FROM pg_roles WHERE rolname = %s", OWNER):
        connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(OWNER)))
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(OWNER)))
    connection.execute(sql.SQL("CREATE SCHEMA audit AUTHORIZATION {}").format(sql.Identifier(OWNER)))
    with as_owner(connection):
        for part in EVERYTHING:
            connection.execute(part)
        connection.execute("INSERT INTO audit.ledger VALUES (%s, %s, clock_timestamp())", [VERSION, partition_records])


@contextmanager
def as_owner(connection: psycopg.Connection[Any]) -> Iterator[None]:
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
    yield
    connection.execute("RESET ROLE")


def _exists(connection: psycopg.Connection[Any], query: str, name: str) -> bool:
    return connection.execute(query, [name]).fetchone() is not None
