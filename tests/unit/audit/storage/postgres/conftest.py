"""A new ledger for each test, in one database: to make a database takes longer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.session import Session

from .....support.ledger import fresh_ledger, ledger_place, new_ledger
from .....support.postgres_server import PostgresServer


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> str:
    return new_ledger(postgres)


@pytest.fixture
def ledger(postgres: PostgresServer, database: str) -> LedgerPlace:
    """Of the service named `here`, in its first incarnation."""
    fresh_ledger(postgres, database, partition_records=10)
    return ledger_place(postgres, database, node="here", incarnation=1, is_single_primary=True)


@pytest.fixture
def session(ledger: LedgerPlace) -> Iterator[Session]:
    with closing(Session(ledger)) as session:
        yield session


@pytest.fixture
def admin(ledger: LedgerPlace) -> Iterator[psycopg.Connection[Any]]:
    assert ledger.admin_url is not None
    with closing(psycopg.connect(ledger.admin_url, autocommit=True)) as connection:
        yield connection
