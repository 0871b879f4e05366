"""The signed checkpoint in the database: one signer at a time, compare-and-swap, durable before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from app.audit.storage.postgres import session, signed_head
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.signed_head import PostgresSignedHead
from app.errors import EvidenceUnavailable

from .....support.own_ledger import database_in, new_place
from .....support.postgres_server import PostgresServer
from .....support.waiting import eventually


def note(size: int, text: str = "root") -> bytes:
    return f"log/name\n{size}\n{text}\n\n— log/name signature\n".encode()


@pytest.fixture
def ledger(postgres: PostgresServer) -> LedgerPlace:
    return new_place(postgres)


@pytest.fixture
def opened(ledger: LedgerPlace) -> Iterator[Callable[[], PostgresSignedHead]]:
    """Opens what one node sees of the same database."""
    heads: list[PostgresSignedHead] = []

    def open_head() -> PostgresSignedHead:
        heads.append(PostgresSignedHead(ledger))
        return heads[-1]

    yield open_head
    for head in heads:
        head.close()


def test_one_signs_and_another_takes_over_when_it_is_gone(opened: Callable[[], PostgresSignedHead]) -> None:
    one, other = opened(), opened()
    assert (one.lead(), other.lead(), one.lead()) == (True, False, True)
    one.close()
    eventually(other.lead)
    assert not one.lead()


def test_what_is_replaced_is_read_by_all(opened: Callable[[], PostgresSignedHead]) -> None:
    one, other = opened(), opened()
    assert one.latest() is None
    assert one.lead()
    one.replace(None, note(1))
    one.replace(note(1), note(5))
    assert one.latest() == other.latest() == note(5)


def test_a_signer_that_is_not_elected_writes_nothing(opened: Callable[[], PostgresSignedHead]) -> None:
    one, other = opened(), opened()
    assert one.lead()
    with pytest.raises(EvidenceUnavailable):
        other.replace(None, note(1))
    assert one.latest() is None


@pytest.mark.parametrize(("old", "new"), [(None, note(9)), (note(1), note(9)), (note(5), note(5, "other")), (note(5), note(4))])
def test_only_a_longer_one_replaces_the_last(opened: Callable[[], PostgresSignedHead], old: bytes | None, new: bytes) -> None:
    one = opened()
    assert one.lead()
    one.replace(None, note(1))
    one.replace(note(1), note(5))
    with pytest.raises(EvidenceUnavailable):
        one.replace(old, new)
    assert one.latest() == note(5)


def test_a_connection_that_is_cut_ends_the_election(
    opened: Callable[[], PostgresSignedHead], postgres: PostgresServer, ledger: LedgerPlace
) -> None:
    one, other = opened(), opened()
    assert one.lead()
    postgres.query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'", database=database_in(ledger))
    eventually(other.lead)
    with pytest.raises(EvidenceUnavailable):
        one.replace(None, note(1))
    assert not one.lead()
    assert other.latest() is None


def test_a_signer_that_says_nothing_is_replaced(
    opened: Callable[[], PostgresSignedHead], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = opened(), opened()
    monkeypatch.setattr(signed_head, "IDLE_SECONDS", 1)
    assert one.lead()
    eventually(other.lead)


def test_a_server_that_stands_still_is_not_waited_for(
    opened: Callable[[], PostgresSignedHead], postgres: PostgresServer, ledger: LedgerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = opened()
    assert one.lead()
    monkeypatch.setattr(session.Session.call, "__kwdefaults__", {"seconds": 0.2})
    with closing(postgres.connect(database_in(ledger))) as locking, locking.transaction():
        locking.execute("LOCK TABLE audit.signed_head IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(EvidenceUnavailable):
            one.replace(None, note(1))
    assert one.lead()


@pytest.mark.slow
def test_without_the_standby_nothing_is_taken_for_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    with PostgresServer() as server, server.standby() as standby:
        ledger = new_place(server)
        one, other = PostgresSignedHead(ledger), PostgresSignedHead(ledger)
        assert one.lead()
        one.replace(None, note(1))
        standby.stop()
        monkeypatch.setattr(session.Session.call, "__kwdefaults__", {"seconds": 0.5})
        with pytest.raises(EvidenceUnavailable):
            one.replace(note(1), note(2))  # its connection is cut while it waits
        waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        seen = "SELECT note FROM audit.signed_head"
        eventually(lambda: server.query(waiting) == [] and server.query(seen, database=database_in(ledger)) == [(note(2),)])
        with pytest.raises(EvidenceUnavailable):
            other.latest()  # visible, and not on the standby
        standby.start()
        monkeypatch.undo()
        assert one.latest() == other.latest() == note(2)
        one.close()
        other.close()
