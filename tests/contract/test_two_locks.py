"""The store's two locks: several writers between write and sync, and a disk that loses what a failed sync left clean."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.audit.format.chain import link
from app.audit.format.record import Draft, LogEnd, Receipt, draft
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.marks import Marks
from app.audit.storage.store import Batch, Build, Recovery
from app.errors import AppError, AuditUnavailable

from ..support.checked import chain_report
from ..support.replaced_os import RealOs, replaced_os
from ..support.stores import open_store
from ..support.waiting import eventually

TIME = "2026-11-23T09:15:02.123456Z"
PAGE = 4096


@pytest.fixture
def store(tmp_path: Path) -> JsonlStore:
    made = open_store(tmp_path / "log.jsonl")
    AuditLog(made).create({"origin": "test"})
    append(made.append, few(1))
    return made


def few(count: int, length: int = 10) -> list[Draft]:
    return [draft("log.alive", None, {"n": n, "text": "x" * length}) for n in range(count)]


def building(drafts: list[Draft], receipts: list[Receipt]) -> Build:
    def build(end: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
        data, made, after = link(drafts, end, TIME)
        receipts.extend(made)
        return Batch(data, after)

    return build


def acknowledged(work: Callable[[], object], receipts: list[Receipt]) -> list[Receipt]:
    try:
        work()
    except AuditUnavailable:
        return []
    return receipts


def verify(store: JsonlStore, receipts: list[Receipt]) -> None:
    """Every acknowledged record is there, and the log is whole once the next writer has examined its end."""
    append(open_store(store.path).append, few(1))
    verdict = chain_report(AuditLog(store), receipts)
    assert verdict.ok, verdict.findings


class LosingDisk(RealOs):
    """The next sync fails, and of what was not durable *lose* takes away: the cache had dropped the clean pages."""

    def __init__(self, lose: Callable[[int], None]) -> None:
        self._lose, self._is_due = lose, True

    def fdatasync(self, fd: int) -> None:
        if self._is_due:
            self._is_due = False
            self._lose(fd)
            raise OSError(errno.EIO, "injected")
        os.fdatasync(fd)


def zeros(start: int, size: int | None = None) -> Callable[[int], None]:
    def lose(fd: int) -> None:
        os.pwrite(fd, bytes(os.fstat(fd).st_size - start if size is None else size), start)

    return lose


def test_a_batch_that_the_cache_lost_is_written_from_memory(store: JsonlStore) -> None:
    receipts: list[Receipt] = []
    with replaced_os(LosingDisk(zeros(store.size()))):
        promised = acknowledged(lambda: store.append(building(few(3), receipts)), receipts)
    verify(store, promised)
    assert len(receipts) == 3
    assert receipts[-1].seq == 4


def test_the_same_for_a_batch_that_is_written_under_both_locks(store: JsonlStore) -> None:
    receipts: list[Receipt] = []
    with replaced_os(LosingDisk(zeros(store.size()))):
        promised = acknowledged(lambda: store.recover(building(few(3), receipts)), receipts)
    verify(store, promised)
    assert len(receipts) == 3


@pytest.mark.parametrize("lost", ["first page", "everything"])
def test_another_writers_lines_that_the_cache_lost_are_never_acknowledged(store: JsonlStore, lost: str) -> None:
    """One has written and not synced yet; another writes after it, and its sync fails and loses lines of the first."""
    other = open_store(store.path)
    theirs: list[Receipt] = []
    ours: list[Receipt] = []
    append(other.append, few(1))
    begin = store.size()
    batch = store._write(building(few(6, 2000), theirs))
    assert batch is not None
    with replaced_os(LosingDisk(zeros(PAGE, PAGE) if lost == "first page" else zeros(begin, 12_000))):
        promised = acknowledged(lambda: other.append(building(few(1), ours)), ours)
        promised += acknowledged(lambda: store._sync(batch), theirs)
    assert promised == []
    verify(store, promised)


def test_a_batch_with_a_hole_is_not_acknowledged_for_its_last_line(store: JsonlStore) -> None:
    """Another writer died while it synced, and a page of the batch is lost."""
    receipts: list[Receipt] = []
    batch = store._write(building(few(6, 2000), receipts))
    assert batch is not None
    with store.path.open("rb+") as file:
        os.pwrite(file.fileno(), bytes(PAGE), PAGE)
    dead = open_store(store.path)
    with dead._log.sync_lock():
        dead._log.marks.begin_sync()
    assert acknowledged(lambda: store._sync(batch), receipts) == []
    verify(store, [])


def test_a_sync_covers_all_that_was_written_before_it(store: JsonlStore) -> None:
    other = open_store(store.path)
    theirs: list[Receipt] = []
    ours: list[Receipt] = []
    append(other.append, few(1))
    batch = store._write(building(few(2), theirs))
    assert batch is not None
    other.append(building(few(1), ours))
    with replaced_os(LosingDisk(lambda fd: pytest.fail("it was durable already"))):
        store._sync(batch)
    verify(store, [*theirs, *ours])


class Watching(RealOs):
    """Looks, while a batch is synced, at which locks are free."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.free: list[tuple[bool, bool]] = []

    def fdatasync(self, fd: int) -> None:
        self.free.append((is_free(self._path, ".lock"), is_free(self._path, ".sync")))
        os.fdatasync(fd)


def is_free(path: Path, suffix: str) -> bool:
    with path.with_name(path.name + suffix).open("rb+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_who_writes_alone_lets_others_write_while_it_syncs(store: JsonlStore) -> None:
    receipts: list[Receipt] = []
    watching = Watching(store.path)
    append(store.append, few(1))
    with replaced_os(watching):
        store.append(building(few(2), receipts))
    assert watching.free == [(True, False)]
    verify(store, receipts)


def test_a_write_lock_that_cannot_be_given_up_early_ends_with_the_sync(
    store: JsonlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts: list[Receipt] = []
    fails = [True]

    def flock(fd: int, how: int) -> None:
        if how == fcntl.LOCK_UN and fails:
            raise OSError(fails.pop(), "injected")
        fcntl.flock(fd, how)

    append(store.append, few(1))
    watching = Watching(store.path)
    monkeypatch.setattr("app.audit.storage.locks.fcntl", SimpleNamespace(**vars(fcntl) | {"flock": flock}))
    with replaced_os(watching):
        store.append(building(few(2), receipts))
    assert watching.free == [(False, False)]
    assert is_free(store.path, ".lock")
    verify(store, receipts)


def test_while_another_syncs_a_batch_is_written_all_the_same(store: JsonlStore) -> None:
    receipts: list[Receipt] = []
    before = store.size()
    other = open_store(store.path)
    with other._log.sync_lock():
        thread = threading.Thread(target=store.append, args=(building(few(2), receipts),))
        thread.start()
        eventually(lambda: store.path.stat().st_size > before)
        assert thread.is_alive()
    thread.join()
    verify(store, receipts)


def test_who_has_met_another_writer_takes_one_lock_after_the_other(store: JsonlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes both at once makes others wait who could write while somebody else syncs."""
    taken: list[str] = []

    def flock(fd: int, how: int) -> None:
        if how != fcntl.LOCK_UN:
            taken.append(Path(f"/proc/self/fd/{fd}").readlink().suffix)
        fcntl.flock(fd, how)

    append(open_store(store.path).append, few(1))
    append(store.append, few(1))
    monkeypatch.setattr("app.audit.storage.locks.fcntl", SimpleNamespace(**vars(fcntl) | {"flock": flock}))
    append(store.append, few(1))
    append(store.append, few(1))
    assert taken == [".lock", ".sync", ".sync", ".lock"]


def test_a_durable_mark_does_not_lag_behind_a_written_one_that_failed(store: JsonlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Marks, "set_written", lambda self, end: None)
    append(store.append, few(2))
    end = store.durable()
    assert end is not None
    assert end.size == store.size()


def test_a_reader_of_the_log_cannot_keep_anybody_from_writing(store: JsonlStore) -> None:
    done = threading.Event()

    def write() -> None:
        append(store.append, few(1))
        done.set()

    with store.path.open("rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        threading.Thread(target=write, daemon=True).start()
        assert done.wait(20)


def test_an_emptied_log_without_lock_files_is_not_begun_again_by_an_append(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.touch()
    with pytest.raises(AppError):
        append(open_store(path).append, few(1))
    assert path.read_bytes() == b""
