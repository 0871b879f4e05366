"""An administrator prepares a ledger; to do it again changes no record."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from app.audit.log import AuditLog
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.prepare import prepare
from app.audit.storage.postgres.store import PostgresStore

from .....support.ledger import ROLE
from .....support.postgres_server import PostgresServer
from .....support.stored_log import record, stored


def test_to_prepare_again_gives_rights_to_another_role_too(
    ledger: LedgerPlace, admin: psycopg.Connection[Any], postgres: PostgresServer
) -> None:
    with closing(PostgresStore(ledger)) as store:
        AuditLog(store).create({})
        before = stored(store)
        other = postgres.new_role()
        assert prepare(admin, other) is False
        name = ledger.url.rpartition("/")[2]
        with closing(PostgresStore(LedgerPlace(postgres.url(name, other)))) as second:
            record(second, 1)
        record(store, 2)
        assert stored(store).startswith(before)


def test_to_prepare_again_makes_what_an_older_release_lacked(
    ledger: LedgerPlace, admin: psycopg.Connection[Any], postgres: PostgresServer
) -> None:
    admin.execute("DROP FUNCTION audit.tell_node; DROP TABLE audit.nodes")
    assert prepare(admin, ROLE) is False
    with closing(psycopg.connect(ledger.url, autocommit=True)) as service:
        service.execute("SELECT audit.tell_node(1, 'one', '1', '{}', 1)")
        assert service.execute("SELECT name FROM audit.nodes").fetchall() == [("one",)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute("DELETE FROM audit.nodes")


def test_a_role_that_is_missing_leaves_nothing_half_done(postgres: PostgresServer) -> None:
    with closing(postgres.connect(postgres.new_database())) as connection:
        with pytest.raises(psycopg.errors.UndefinedObject):
            prepare(connection, "nobody_of_that_name")
        assert connection.execute("SELECT FROM pg_namespace WHERE nspname = 'audit'").fetchall() == []


def test_an_administrator_need_not_be_a_superuser(postgres: PostgresServer) -> None:
    name, admin = postgres.new_database(), postgres.new_role()
    postgres.query(f'ALTER ROLE "{admin}" CREATEROLE; GRANT audit_owner TO "{admin}" WITH ADMIN OPTION')
    postgres.query(f'ALTER DATABASE "{name}" OWNER TO "{admin}"')
    with closing(psycopg.connect(postgres.url(name, admin), autocommit=True)) as connection:
        assert prepare(connection, ROLE) is True
