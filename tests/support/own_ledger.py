"""A ledger whose database and role are one test's own, for tests that change the role's rights."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import urlsplit

from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.prepare import prepare

from .postgres_server import PostgresServer


def new_place(server: PostgresServer) -> LedgerPlace:
    """An empty ledger, as a role that has the service's rights sees it."""
    name, role = server.new_database(), server.new_role()
    with closing(server.connect(name)) as connection:
        prepare(connection, role)
    return LedgerPlace(server.url(name, role), node="one", admin_url=server.url(name), is_single_primary=True)


def database_in(place: LedgerPlace) -> str:
    return place.url.rpartition("/")[2]


def role_in(place: LedgerPlace) -> str:
    return str(urlsplit(place.url).username)
