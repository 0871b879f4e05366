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

from .....support.stored_log import record, verify

Admin = psycopg.Connection[Any]


@pytest.fixture
def store(ledger: LedgerPlace) -> Iterator[PostgresStore]:
    with closing(PostgresStore(ledger)) as store:
        AuditLog(store).create({})
        record(store, 1, 2)
        yield store


def test_a_look_sees_that_what_was_durable_has_another_hash(store: PostgresStore, admin: Admin) -> None:
    assert store.durable() is not None
    store.look()
    admin.execute("UPDATE audit.batches SET hash = repeat('0', 64) WHERE last_seq = 2")
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
