"""A new ledger for each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.session import Session

from .....support.ledger import ledger_place, new_ledger
from .....support.postgres_server import PostgresServer


@pytest.fixture
def ledger(postgres: PostgresServer) -> LedgerPlace:
    """Of the service named `here`, in its first incarnation."""
    return ledger_place(postgres, new_ledger(postgres, partition_records=10), node="here", incarnation=1)


@pytest.fixture
def session(ledger: LedgerPlace) -> Iterator[Session]:
    with closing(Session(ledger)) as session:
        yield session


@pytest.fixture
def admin(ledger: LedgerPlace) -> Iterator[psycopg.Connection[Any]]:
    assert ledger.admin_url is not None
    with closing(psycopg.connect(ledger.admin_url, autocommit=True)) as connection:
        yield connection
