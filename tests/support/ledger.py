"""Databases of the tests that hold a ledger."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from app.audit.storage.postgres.place import SCHEMA, LedgerPlace
from app.audit.storage.postgres.prepare import prepare
from app.audit.storage.postgres.schema import PARTITION_RECORDS
from app.audit.storage.postgres.session import Session, Statement
from app.audit.storage.postgres.store import PostgresStore

from .postgres_server import PostgresServer
from .stores import closed_at_end

ROLE = "assistant"
SCHEMAS = "SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace WHERE nspname LIKE 'audit%'"


def new_ledger(server: PostgresServer, name: str = "", partition_records: int = PARTITION_RECORDS) -> str:
    """The name of a new database with an empty ledger, to which ROLE may append."""
    name = server.new_database(name)
    if not server.query("SELECT FROM pg_roles WHERE rolname = %s", ROLE):
        server.new_role(ROLE)
    with closing(server.connect(name)) as connection:
        prepare(connection, ROLE, partition_records=partition_records)
    return name


def ledger_place(server: PostgresServer, name: str, **more: object) -> LedgerPlace:
    """As the service has it; with *more*, as LedgerPlace."""
    return LedgerPlace(server.url(name, ROLE), admin_url=server.url(name), **more)  # type: ignore[arg-type]


def fresh_ledger(server: PostgresServer, name: str, partition_records: int = PARTITION_RECORDS) -> None:
    """An empty ledger in place of all that are in the database *name*: quicker than another database."""
    no_ledger(server, name)
    with closing(server.connect(name)) as connection:
        prepare(connection, ROLE, partition_records=partition_records)


def no_ledger(server: PostgresServer, name: str) -> None:
    for (drop,) in server.query(SCHEMAS, database=name):
        server.query(drop, database=name)


def open_ledger(url: str, admin_url: str, place: Path) -> PostgresStore:
    """A store of the database at *url*. *place*: of a retired log, its schema; else any."""
    schema = place.name if place.name.startswith("audit_retired_") else SCHEMA
    return closed_at_end(PostgresStore(LedgerPlace(url, admin_url=admin_url, schema=schema)))


def asked(session: Session, expression: str) -> str:
    """The value of an SQL expression on that connection, as text."""
    ((value,),) = session.call(Statement(expression, f"SELECT ({expression})::text"))
    return (value or b"").decode()
