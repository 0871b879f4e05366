"""The ledger as an AuditStore: what only a database can meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from app.audit.log import AuditLog
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore
from app.errors import AuditCorrupt

from .....support.stored_log import record, stored, verify

Admin = psycopg.Connection[Any]


@pytest.fixture
def store(ledger: LedgerPlace) -> Iterator[PostgresStore]:
    with closing(PostgresStore(ledger)) as store:
        AuditLog(store).create({})
        record(store, 1, 2)
        yield store


def test_a_log_that_is_not_what_was_signed_takes_nothing(ledger: LedgerPlace, store: PostgresStore) -> None:
    def refuse() -> None:
        raise AuditCorrupt("not what was signed")

    before = stored(store)
    with closing(PostgresStore(ledger, refuse)) as closed:
        for write in (closed.append, closed.recover):
            with pytest.raises(AuditCorrupt):
                write(None)  # type: ignore[arg-type] # it is refused before
    assert stored(store) == before


def test_recovery_refuses_a_last_record_that_was_edited(store: PostgresStore, admin: Admin) -> None:
    admin.execute("UPDATE audit.lines SET line = overlay(line PLACING 'x' FROM 60) WHERE seq = 2")
    with pytest.raises(AuditCorrupt, match="2"):
        AuditLog(store).recover()


@pytest.mark.parametrize("change", ["DELETE FROM audit.batches", "UPDATE audit.batches SET hash = repeat('0', 64)"])
def test_a_look_sees_that_what_was_durable_is_gone(store: PostgresStore, admin: Admin, change: str) -> None:
    assert store.durable() is not None
    store.look()
    admin.execute(f"{change} WHERE last_seq = 2".encode())
    with pytest.raises(AuditCorrupt, match="record 2"):
        store.look()
    store.accept_files()
    store.look()


def test_what_was_not_durable_may_be_gone_after_a_crash(store: PostgresStore, admin: Admin) -> None:
    """A look shows it before its barrier, and the crash of a server may take it away again."""
    assert store.durable() is not None
    record(store, 3)
    assert store.look().stamp[3] == 3
    admin.execute("DELETE FROM audit.lines WHERE seq = 3")
    admin.execute("DELETE FROM audit.batches WHERE last_seq = 3")
    assert store.look().stamp[3] == 2
    assert verify(store, *record(store, 4)) == 4
