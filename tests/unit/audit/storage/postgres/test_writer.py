"""Each batch is added once and acknowledged only when it is durable, whenever the connection is cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from app.audit.format.record import Draft, draft
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.session import Lost, Row, Session, Statement, Value
from app.audit.storage.postgres.writer import APPEND, BARRIER, Writer
from app.errors import AuditCorrupt, AuditUnavailable

from .....support.ledger import ROLE

Admin = psycopg.Connection[Any]


def some(*numbers: int) -> list[Draft]:
    return [draft("log.alive", None, {"n": n}) for n in numbers]


class CutSession(Session):
    """Is cut before or after one statement, as often as it is told."""

    cuts: list[tuple[str, str]] = []  # noqa: RUF012 - one list for all connections of a test

    def call(self, statement: Statement, *values: Value, seconds: float = 3.0) -> list[Row]:
        for when in ("before", "after"):
            if self.cuts and self.cuts[0] == (when, statement.name):
                self.cuts.pop(0)
                if when == "after":
                    super().call(statement, *values, seconds=seconds)
                self.close()
                raise Lost("cut by the test")
        return super().call(statement, *values, seconds=seconds)


@pytest.fixture
def writer(ledger: LedgerPlace) -> Iterator[Writer]:
    with closing(Writer(ledger, CutSession)) as writer:
        writer.append(some(0), begins=True)
        yield writer
    CutSession.cuts.clear()


def lines(admin: Admin) -> int:
    (count,) = admin.execute("SELECT count(*) FROM audit.lines").fetchone() or (None,)
    assert isinstance(count, int)
    return count


@pytest.mark.parametrize("statement", [APPEND.name, BARRIER.name])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", [1, 3])
def test_a_cut_connection_neither_loses_nor_doubles_a_batch(
    writer: Writer, admin: Admin, statement: str, when: str, times: int
) -> None:
    CutSession.cuts.extend([(when, statement)] * times)
    receipts = writer.append(some(1, 2))
    assert ([one.seq for one in receipts], lines(admin)) == ([1, 2], 3)
    assert CutSession.cuts == []


def test_a_batch_that_was_found_is_waited_for_again(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit that was cut may be on this server alone: only a message of the retry's own shows that it is not."""
    called: list[str] = []
    real = CutSession.call

    def call(self: CutSession, statement: Statement, *values: Value, seconds: float = 3.0) -> list[Row]:
        called.append(statement.name)
        return real(self, statement, *values, seconds=seconds)

    monkeypatch.setattr(CutSession, "call", call)
    CutSession.cuts.append(("after", BARRIER.name))
    writer.append(some(1))
    assert called == [APPEND.name, BARRIER.name, "pin", "sound", "stands", "enter", APPEND.name, BARRIER.name]


def test_a_batch_that_is_gone_before_its_message_is_not_acknowledged(
    writer: Writer, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a crash of the server between the two: the batch is added again, under the same number."""
    real, removed = CutSession.call, list[int]()

    def call(self: CutSession, statement: Statement, *values: Value, seconds: float = 3.0) -> list[Row]:
        if statement is BARRIER and not removed:
            removed.append(lines(admin))
            admin.execute("DELETE FROM audit.lines WHERE seq = 1")
            admin.execute("DELETE FROM audit.batches WHERE last_seq = 1")
        return real(self, statement, *values, seconds=seconds)

    monkeypatch.setattr(CutSession, "call", call)
    (receipt,) = writer.append(some(1))
    assert (removed, receipt.seq, lines(admin)) == ([2], 1, 2)


def test_a_server_that_lacks_what_was_acknowledged_gets_nothing_more(writer: Writer, admin: Admin) -> None:
    """As where the name of the database leads back to a primary that was replaced: it goes on, from an earlier record."""
    (receipt,) = writer.append(some(1))
    admin.execute("UPDATE audit.batches SET hash = repeat('0', 64) WHERE last_seq = 1")
    writer.close()
    for _ in range(2):
        with pytest.raises(AuditCorrupt, match="had record 1, durable, and has it no more"):
            writer.append(some(2))
    assert lines(admin) == 2
    admin.execute("UPDATE audit.batches SET hash = %s WHERE last_seq = 1", [receipt.hash])
    writer.append(some(3))  # led to the right one again
    assert lines(admin) == 3


def test_a_server_without_a_standby_gets_nothing_unless_that_was_said(writer: Writer, ledger: LedgerPlace, admin: Admin) -> None:
    """As after a failover to a standby that nobody has set up as a primary yet."""
    with closing(Writer(replace(ledger, is_single_primary=False))) as careful:
        with pytest.raises(AuditUnavailable, match="no synchronous standby"):
            careful.append(some(1))
    assert lines(admin) == 1


def test_a_writer_of_an_older_service_is_fenced(writer: Writer, ledger: LedgerPlace, admin: Admin) -> None:
    with closing(Writer(replace(ledger, incarnation=2))) as newer:
        newer.append(some(1))
        with pytest.raises(AuditUnavailable, match="NODE_NAME"):
            writer.append(some(2))
        newer.append(some(3))
    assert lines(admin) == 3


def test_a_command_does_not_fence_the_service_of_its_node(writer: Writer, ledger: LedgerPlace) -> None:
    with closing(Writer(replace(ledger, incarnation=None))) as beside:
        beside.append(some(1))
        writer.append(some(2))
        beside.append(some(3))


def test_a_server_that_stays_away_closes_the_log_in_time(ledger: LedgerPlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.audit.storage.postgres.writer.GIVE_UP_SECONDS", 0.2)
    writer = Writer(replace(ledger, url="postgresql://nobody@127.0.0.1:1/nothing"))
    with pytest.raises(AuditUnavailable, match="does not answer"):
        writer.append(some(1))


def test_what_the_server_refuses_is_told_in_a_sentence(writer: Writer, ledger: LedgerPlace, admin: Admin) -> None:
    with pytest.raises(AuditCorrupt):
        writer.append(some(1), begins=True)
    admin.execute(f"REVOKE SELECT ON audit.lines FROM {ROLE}")
    with pytest.raises(AuditUnavailable, match=r"lacks a right on the ledger: an administrator runs .* audit prepare"):
        writer.append(some(1))
    admin.execute("ALTER TABLE audit.gate RENAME TO gate_no_more")
    with pytest.raises(AuditUnavailable, match="without a ledger"):
        writer.append(some(1))


def test_the_end_of_the_log_is_settled_without_a_record(writer: Writer, ledger: LedgerPlace, admin: Admin) -> None:
    writer.settle()
    assert lines(admin) == 1
    admin.execute("TRUNCATE audit.batches, audit.lines")
    with pytest.raises(AuditUnavailable):
        writer.settle()
