"""Databases of the tests that hold a ledger."""

from __future__ import annotations

from contextlib import closing

from app.audit.storage.postgres.signed_head_schema import SIGNED_HEAD

from .postgres_server import PostgresServer


def new_ledger(server: PostgresServer) -> str:
    """The name of a new database with an empty ledger."""
    name = server.new_database()
    with closing(server.connect(name)) as connection:
        connection.execute("CREATE SCHEMA audit")
        connection.execute(SIGNED_HEAD)
    return name
