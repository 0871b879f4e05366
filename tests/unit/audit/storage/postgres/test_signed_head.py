"""The signed checkpoint in the database: one signer at a time, compare-and-swap, durable before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from app.audit.storage.postgres import signed_head
from app.audit.storage.postgres.signed_head import PostgresSignedHead
from app.errors import EvidenceUnavailable

from .....support.ledger import new_ledger
from .....support.postgres_server import PostgresServer
from .....support.waiting import eventually


def note(size: int, text: str = "root") -> bytes:
    return f"log/name\n{size}\n{text}\n\n— log/name signature\n".encode()


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    return new_ledger(postgres)


@pytest.fixture
def opened(postgres: PostgresServer, database: str) -> Iterator[Callable[[], PostgresSignedHead]]:
    """Opens what one node sees of the same database."""
    heads: list[PostgresSignedHead] = []

    def open_head() -> PostgresSignedHead:
        heads.append(PostgresSignedHead(postgres.url(database)))
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
    opened: Callable[[], PostgresSignedHead], postgres: PostgresServer, database: str
) -> None:
    one, other = opened(), opened()
    assert one.lead()
    postgres.query("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'", database=database)
    eventually(other.lead)
    with pytest.raises(EvidenceUnavailable):
        one.replace(None, note(1))
    assert not one.lead()
    assert other.latest() is None


def test_a_signer_that_says_nothing_is_replaced(
    opened: Callable[[], PostgresSignedHead], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = opened(), opened()
    monkeypatch.setattr(
        signed_head, "SESSION", signed_head.SESSION.replace("idle_session_timeout = '10s'", "idle_session_timeout = '200ms'")
    )
    assert one.lead()
    eventually(other.lead)


def test_a_server_that_stands_still_is_not_waited_for(
    opened: Callable[[], PostgresSignedHead], postgres: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = opened()
    assert one.lead()
    monkeypatch.setattr(signed_head, "ANSWER_SECONDS", 0.2)
    with closing(postgres.connect(database)) as locking, locking.transaction():
        locking.execute("LOCK TABLE audit.signed_head IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(EvidenceUnavailable):
            one.replace(None, note(1))
    assert one.lead()


@pytest.mark.slow
def test_without_the_standby_nothing_is_taken_for_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    with PostgresServer() as server, server.standby() as standby:
        one, other = (PostgresSignedHead(server.url(database)) for database in [new_ledger(server)] * 2)
        assert one.lead()
        one.replace(None, note(1))
        standby.stop()
        monkeypatch.setattr(signed_head, "ANSWER_SECONDS", 0.5)
        with pytest.raises(EvidenceUnavailable):
            one.replace(note(1), note(2))  # its connection is cut while it waits
        waiting = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        eventually(lambda: server.query(waiting) == [] and _visible(server, one) == note(2))
        with pytest.raises(EvidenceUnavailable):
            other.latest()  # visible, and not on the standby
        standby.start()
        monkeypatch.undo()
        assert one.latest() == other.latest() == note(2)
        one.close()
        other.close()


def _visible(server: PostgresServer, head: PostgresSignedHead) -> bytes:
    import psycopg

    with closing(psycopg.connect(head._url)) as connection:
        row = connection.execute(signed_head.NOTE).fetchone()
        assert row is not None
        return bytes(row[0])
