"""AuditLog over a file that is empty, damaged or gone; what holds over any store is in tests/contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.audit.format.record import EMPTY
from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.errors import AuditCorrupt

from ...support.stored_log import recording, records, stored
from ...support.stores import open_store

DETAILS = {"origin": "test", "vkey": "test+key"}


@pytest.fixture
def store(tmp_path: Path) -> JsonlStore:
    return open_store(tmp_path / "audit_log.jsonl")


@pytest.fixture
def log(store: JsonlStore) -> AuditLog:
    return AuditLog(store)


def test_an_empty_file_is_a_log_without_records(log: AuditLog, store: JsonlStore) -> None:
    assert not log.exists()
    store.path.touch()
    assert (log.exists(), log.is_empty(), log.has_one_record()) == (True, True, False)


def test_a_machine_among_several_is_named_last_in_the_details(store: JsonlStore) -> None:
    log = AuditLog(store, node="node-1")
    log.create(DETAILS)

    async def work() -> None:
        await log.record("client.added", user_id=None, details={"client_id": "alice"})

    recording(log, work)
    assert list(records(store)[1]["details"].items()) == [("client_id", "alice"), ("node", "node-1")]


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"[]\n", b'{"details":[]}\n', b'{"seq":0}\n'])
def test_a_first_record_that_cannot_be_read_has_no_details(log: AuditLog, store: JsonlStore, content: bytes) -> None:
    store.path.write_bytes(content)
    assert log.first_details() == {}


def test_recovering_a_log_without_an_end_is_refused(log: AuditLog, store: JsonlStore) -> None:
    store.path.write_bytes(b"garbage\n")
    with pytest.raises(AuditCorrupt):
        log.recover()
    assert store.durable() in (None, EMPTY)


def test_a_log_that_is_not_at_its_path_is_not_in_place(log: AuditLog, store: JsonlStore) -> None:
    log.create(DETAILS)
    assert log.is_in_place()
    store.path.write_bytes(stored(store)[:-1])
    assert not log.is_in_place()
    store.path.unlink()
    assert not log.is_in_place()
    log.close()
    log.close()
    assert not log.is_in_place()
