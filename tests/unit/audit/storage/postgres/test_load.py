"""Lines that were linked elsewhere are added as they are, so that a log can move into a database."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.audit.format.record import EMPTY
from app.audit.log import AuditLog
from app.audit.storage.postgres.load import load
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore

from .....support.stored_log import record, stored, verify
from .....support.stores import open_store


def test_a_file_log_goes_on_in_the_database(ledger: LedgerPlace, admin: psycopg.Connection[Any], tmp_path: Path) -> None:
    file = open_store(tmp_path / "log")
    AuditLog(file).create({})
    receipts = record(file, *range(40))
    with admin.transaction():
        end = load(admin, stored(file), EMPTY)
    assert end == file.durable()
    with closing(PostgresStore(ledger)) as store:
        assert stored(store) == stored(file)
        assert verify(store, *receipts, *record(store, 1)) == 42


def test_a_line_that_is_missing_is_refused(admin: psycopg.Connection[Any], tmp_path: Path) -> None:
    file = open_store(tmp_path / "log")
    AuditLog(file).create({})
    record(file, 1, 2)
    lines = stored(file).splitlines(keepends=True)
    for data in (lines[0] + lines[2], lines[0][:-1]):
        with pytest.raises(ValueError, match="record"), admin.transaction():
            load(admin, data, EMPTY)
