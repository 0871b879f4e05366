"""A client database on PostgreSQL: of the tests' own server, one for each test."""

from __future__ import annotations

import uuid
from weakref import WeakKeyDictionary

from app.kit.postgres_url import PostgresUrl
from app.security.clients.migrations import create_or_upgrade_database

from .postgres_server import PostgresServer

_made: WeakKeyDictionary[PostgresServer, tuple[str, str]] = WeakKeyDictionary()
"""Of each server: the role of the tests, and a database that the migrations have gone over."""


def new_url(server: PostgresServer, *, options: str = "") -> PostgresUrl:
    """Of an empty database, for a role that may do nothing but own it."""
    role, name = server.new_role(), server.new_database()
    server.query(f'ALTER DATABASE "{name}" OWNER TO "{role}"')
    return PostgresUrl(server.url(name, role) + options, "DATABASE_URL")


def make_clients(server: PostgresServer) -> PostgresUrl:
    """As `new_url`, with the tables of the clients. The migrations run once for each server."""
    if server not in _made:
        template = new_url(server)
        create_or_upgrade_database(template)
        parameters = template.parameters()
        _made[server] = parameters["user"], parameters["dbname"]
    role, template_name = _made[server]
    name = f"test_{uuid.uuid4().hex[:12]}"
    server.query(f'CREATE DATABASE "{name}" TEMPLATE "{template_name}" OWNER "{role}"')
    return PostgresUrl(server.url(name, role), "DATABASE_URL")
