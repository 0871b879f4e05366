"""A long text in the database; what holds of every store of texts is in tests/contract."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest

from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.texts import PostgresTexts


def test_what_cannot_be_read_is_named_as_such(ledger: LedgerPlace, admin: psycopg.Connection[Any]) -> None:
    admin.execute("DROP TABLE audit.texts")
    with closing(PostgresTexts(ledger)) as texts:
        for read in (texts.exists, lambda: texts.digest_of("ab" * 32)):
            with pytest.raises(OSError, match="texts") as caught:
                read()
            assert str(caught.value.filename).endswith("in AUDIT_URL")
