"""A long text is in the database, durable, before a record names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from typing import Any

import psycopg
import pytest

from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.texts import PostgresTexts
from app.errors import AuditUnavailable

TEXT = b"a long text \x00" * 100_000
NAME = sha256(TEXT).hexdigest()


@pytest.fixture
def texts(ledger: LedgerPlace) -> Iterator[PostgresTexts]:
    with closing(PostgresTexts(ledger)) as texts:
        yield texts


def test_a_text_is_kept_once_by_its_digest(texts: PostgresTexts, admin: psycopg.Connection[Any]) -> None:
    assert not texts.exists()
    assert (texts.digest_of(NAME), texts.read(NAME)) == (None, None)
    for _ in range(2):
        texts.keep({NAME: TEXT})
    assert texts.exists()
    assert (texts.digest_of(NAME), texts.read(NAME)) == (sha256(TEXT).digest(), TEXT)
    assert admin.execute("SELECT content FROM audit.texts").fetchall() == [(TEXT,)]


def test_a_changed_text_is_seen(texts: PostgresTexts, admin: psycopg.Connection[Any]) -> None:
    texts.keep({NAME: TEXT})
    admin.execute("UPDATE audit.texts SET content = 'another'")
    assert texts.digest_of(NAME) == sha256(b"another").digest()


def test_a_text_that_cannot_be_kept_is_named_as_such(texts: PostgresTexts, admin: psycopg.Connection[Any]) -> None:
    admin.execute("DROP FUNCTION audit.keep_text; DROP TABLE audit.texts")
    with pytest.raises(AuditUnavailable, match="long text"):
        texts.keep({NAME: TEXT})
    for read in (texts.exists, lambda: texts.digest_of(NAME)):
        with pytest.raises(OSError, match="texts") as caught:
            read()
        assert str(caught.value.filename).endswith("in AUDIT_URL")
