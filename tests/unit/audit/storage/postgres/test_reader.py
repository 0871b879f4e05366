"""Readers see bytes as in the exported file, and take nothing for durable that no barrier has covered."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from app.api.error_bodies import public_detail
from app.audit.format.record import draft
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.reader import Reader
from app.audit.storage.postgres.session import Lost
from app.audit.storage.postgres.writer import Writer
from app.errors import AuditCorrupt, EvidenceUnavailable, LogUnreadable

from .....support.waiting import eventually

Admin = psycopg.Connection[Any]


@pytest.fixture
def writer(ledger: LedgerPlace) -> Iterator[Writer]:
    with closing(Writer(ledger)) as writer:
        writer.append([draft("log.opened", None, {})], begins=True)
        yield writer


@pytest.fixture
def reader(ledger: LedgerPlace, writer: Writer) -> Iterator[Reader]:
    with closing(Reader(ledger)) as reader:
        yield reader


@pytest.mark.parametrize("at", [100, 199, 200, 201, 399])
def test_a_piece_may_begin_deep_in_a_long_batch(reader: Reader, writer: Writer, at: int) -> None:
    for _ in range(2):
        writer.append([draft("log.alive", None, {"n": n}) for n in range(200)])
    end = reader.end()
    assert end is not None
    whole = b"".join(reader.chunks(end.size))
    start = len(b"".join(whole.splitlines(keepends=True)[:at]))
    assert b"".join(reader.chunks(end.size, start + 7)) == whole[start + 7 :]


def test_the_durable_end_needs_a_barrier_of_the_reader_s_own(
    reader: Reader, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reader.durable()
    assert first is not None
    assert first.seq == 0
    writer.append([draft("log.alive", None, {})])

    def fail(*args: object) -> None:
        raise Lost("the standby does not answer")

    monkeypatch.setattr("app.audit.storage.postgres.reader.wait_until_durable", fail)
    with pytest.raises(EvidenceUnavailable, match="standby"):
        reader.durable()
    monkeypatch.undo()
    second = reader.durable()
    assert second is not None
    assert second.seq == 1


def test_a_database_that_lost_what_was_durable_is_corrupt(reader: Reader, writer: Writer, admin: Admin) -> None:
    writer.append([draft("log.alive", None, {})])
    assert reader.durable() is not None
    admin.execute("DELETE FROM audit.batches WHERE last_seq = 1")
    with pytest.raises(AuditCorrupt, match="record 1"):
        reader.durable()


def test_an_edited_line_changes_the_look(reader: Reader, admin: Admin) -> None:
    """The server counts what a connection has changed at its end at the latest."""
    before = reader.look()
    admin.execute("UPDATE audit.lines SET line = line WHERE seq = 0")
    admin.close()
    eventually(lambda: reader.look() != before)
    assert reader.look()[0] == before[0]


def test_a_database_without_a_ledger_is_named_as_such(ledger: LedgerPlace, admin: Admin) -> None:
    admin.execute("DROP SCHEMA audit CASCADE")
    with closing(Reader(ledger)) as reader:
        assert not reader.exists()
        with pytest.raises(EvidenceUnavailable, match="without a ledger"):
            reader.end()


def test_a_server_that_is_away_is_unavailable(ledger: LedgerPlace) -> None:
    with pytest.raises(EvidenceUnavailable, match="no server listens there") as caught:
        Reader(replace(ledger, url="postgresql://nobody@127.0.0.1:1/nothing")).exists()
    assert public_detail(caught.value) == LogUnreadable.detail


def test_the_clock_is_the_server_s(reader: Reader, admin: Admin) -> None:
    def server() -> float:
        (now,) = admin.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone() or (0.0,)
        return float(now)

    assert server() <= reader.now() + 1e-5 <= server() + 2e-5
