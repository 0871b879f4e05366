"""One look at the log's files: sound while only our writers write, refused for whatever a stranger does."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.errors import AuditCorrupt

from ....support.changed_files import add, copy_over
from ....support.stored_log import record, stored
from ....support.stores import open_store


@pytest.fixture
def store(tmp_path: Path) -> JsonlStore:
    store = open_store(tmp_path / "audit_log.jsonl")
    AuditLog(store).create({"origin": "test"})
    record(store, 1, 2)
    return store


def another(store: JsonlStore) -> JsonlStore:
    return open_store(store.path)


def test_looks_beside_busy_writers_see_no_stranger(store: JsonlStore) -> None:
    """Marks and file are read one after the other, while both change."""
    done = threading.Event()

    def write() -> None:
        writer = another(store)
        while not done.is_set():
            record(writer, 1, 2, 3)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        watching = another(store)
        for _ in range(2_000):
            watching.look()
    finally:
        done.set()
        for thread in threads:
            thread.join()


STRANGERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "removed": (lambda path: path.unlink(), "is missing"),
    "moved away": (lambda path: path.rename(path.with_name("away")), "is missing"),
    "replaced by a copy": (copy_over, "was replaced"),
    "cut by a byte": (lambda path: os.truncate(path, path.stat().st_size - 1), "shorter than it was"),
    "emptied": (lambda path: os.truncate(path, 0), "shorter than it was"),
    "junk added": (lambda path: add(path, b"junk\n"), "by a stranger"),
    "junk without an end added": (lambda path: add(path, b"junk"), "by a stranger"),
    "zeros added": (lambda path: os.truncate(path, path.stat().st_size + 1), "by a stranger"),
}


@pytest.mark.parametrize("how", STRANGERS)
def test_a_strangers_change_is_refused_until_the_log_is_back(store: JsonlStore, how: str) -> None:
    change, why = STRANGERS[how]
    watching, before = another(store), stored(store)
    watching.look()
    change(store.path)
    for _ in range(2):
        with pytest.raises(AuditCorrupt, match=why):
            watching.look()
    store.path.write_bytes(before)
    watching.accept_files()
    assert watching.look().are_locks_intact


def test_the_beginning_of_a_record_may_be_of_a_writer_that_died(store: JsonlStore) -> None:
    watching = another(store)
    add(store.path, b'{"v":1,"seq":3,"timestamp":"2026')
    watching.look()


@pytest.mark.parametrize("name", ["lock", "sync"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_lock_file_that_was_taken_away_is_told_once(store: JsonlStore, name: str, how: str) -> None:
    watching, path = another(store), store.path.with_name(f"{store.path.name}.{name}")
    watching.look()
    if how == "removed":
        data = path.read_bytes()
        path.unlink()
        assert not watching.look().are_locks_intact
        path.write_bytes(data)
    else:
        copy_over(path)
        assert not watching.look().are_locks_intact
    assert watching.look().are_locks_intact


def test_marks_that_cannot_be_read_are_told(store: JsonlStore) -> None:
    os.truncate(store.lock_path, 0)
    assert not another(store).look().are_locks_intact


def test_a_lock_file_from_before_is_refused_until_it_is_deleted(store: JsonlStore) -> None:
    watching, old = another(store), store.lock_path.read_bytes()
    record(store, 3)
    watching.look()
    store.lock_path.write_bytes(old)
    with pytest.raises(AuditCorrupt, match="older than the audit log: record 3"):
        watching.look()
    store.lock_path.unlink()
    assert not watching.look().are_locks_intact
