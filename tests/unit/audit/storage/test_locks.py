"""The log's locks: which processes they exclude, in which order, and that an exchanged file is noticed."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from app.audit.format.record import EMPTY
from app.audit.storage.locks import LockedLog
from app.audit.storage.marks import MarksRead
from app.errors import AuditCorrupt, AuditUnavailable, ConfigError

from ....support.replaced_os import RealOs, replaced_os

Locking = Callable[[LockedLog], AbstractContextManager[bool | None]]
LOCKS: dict[str, Locking] = {"write": LockedLog.write_lock, "sync": LockedLog.sync_lock, "both": LockedLog.both_locks}
EXCLUDED = {("write", "sync"): False, ("sync", "write"): False}
"""Whether the holder of the first keeps another from the second; all other pairs do."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "audit_log.jsonl"
    LockedLog(path).make()
    return path


@pytest.fixture
def log(path: Path) -> Iterator[LockedLog]:
    log = LockedLog(path)
    yield log
    log.close()


def is_free(path: Path, lock: Locking) -> bool:
    """Whether another process would get the lock at once: with descriptors of its own."""
    done = threading.Event()

    def take() -> None:
        other = LockedLog(path)
        with lock(other):
            done.set()
        other.close()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    thread.join(0.1)
    return done.is_set()


@pytest.mark.parametrize("held", LOCKS)
@pytest.mark.parametrize("wanted", LOCKS)
def test_each_lock_excludes_its_like_and_writing_goes_on_beside_a_sync(
    log: LockedLog, path: Path, held: str, wanted: str
) -> None:
    with LOCKS[held](log):
        assert is_free(path, LOCKS[wanted]) != EXCLUDED.get((held, wanted), True)
    assert is_free(path, LOCKS[wanted])


def test_a_syncer_can_stop_the_writers_besides(log: LockedLog, path: Path) -> None:
    with log.sync_lock():
        with log.write_lock_too():
            assert not is_free(path, LockedLog.write_lock)
        assert is_free(path, LockedLog.write_lock)
        assert not is_free(path, LockedLog.sync_lock)


def test_both_are_taken_at_once_or_not_at_all(log: LockedLog, path: Path) -> None:
    other = LockedLog(path)
    with other.sync_lock(), log.both_locks_if_free() as are_ours:
        assert not are_ours
        assert is_free(path, LockedLog.write_lock)
    other.close()
    with log.both_locks_if_free() as are_ours:
        assert are_ours
        assert not is_free(path, LockedLog.write_lock)
        log.let_others_write()
        assert is_free(path, LockedLog.write_lock)
        assert not is_free(path, LockedLog.sync_lock)
    assert is_free(path, LockedLog.both_locks)


@pytest.mark.parametrize("lock", LOCKS)
def test_an_error_inside_releases_the_lock(log: LockedLog, path: Path, lock: str) -> None:
    with pytest.raises(KeyError), LOCKS[lock](log):
        raise KeyError
    assert is_free(path, LOCKS[lock])
    with pytest.raises(AuditUnavailable, match="cannot be written: No space left"), LOCKS[lock](log):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert is_free(path, LOCKS[lock])


def test_with_both_locks_an_error_leaves_the_mark_of_an_unfinished_sync(log: LockedLog) -> None:
    with log.both_locks():
        log.marks.set_durable(EMPTY)
    with log.sync_lock():
        assert log.marks.read() == MarksRead(EMPTY, False, EMPTY)
    with pytest.raises(KeyError), log.both_locks():
        raise KeyError
    with log.sync_lock():
        assert log.marks.read() == MarksRead(EMPTY, True, EMPTY)


def test_the_sync_lock_is_taken_first(log: LockedLog) -> None:
    """All take both in one order, so that nobody waits for ever."""
    taken: list[str] = []

    class Watching:
        LOCK_EX, LOCK_UN = fcntl.LOCK_EX, fcntl.LOCK_UN

        def flock(self, fd: int, how: int) -> None:
            if how == fcntl.LOCK_EX:
                taken.append(Path(f"/proc/self/fd/{fd}").readlink().suffix)
            fcntl.flock(fd, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.audit.storage.locks.fcntl", Watching())
        with log.both_locks():
            pass
    assert taken == [".sync", ".lock"]


@pytest.mark.parametrize(
    ("suffix", "noticing"),
    [("", {"write", "sync", "both"}), (".lock", {"write", "both"}), (".sync", {"sync", "both"})],
    ids=["the log", "the write lock", "the sync lock"],
)
@pytest.mark.parametrize("lock", LOCKS)
def test_an_exchanged_file_is_noticed_by_those_who_need_it(
    log: LockedLog, path: Path, suffix: str, noticing: set[str], lock: str
) -> None:
    with log.both_locks():
        pass
    exchanged = path.with_name(path.name + suffix)
    exchanged.rename(path.with_name("away"))
    exchanged.touch()
    assert not log.is_in_place()
    if lock in noticing:
        with pytest.raises(AuditCorrupt, match="moved or replaced"), LOCKS[lock](log):
            pytest.fail("it was not noticed")
        with LOCKS[lock](log):  # the next call opens what is there then
            assert log.is_in_place()
    else:
        with LOCKS[lock](log):
            pass


def test_a_log_that_is_not_there_is_not_made_by_locking_it(tmp_path: Path) -> None:
    log = LockedLog(tmp_path / "log")
    with pytest.raises(AuditUnavailable, match="cannot be opened: No such file"), log.write_lock():
        pytest.fail("there is no log")
    assert os.listdir(tmp_path) == []


def test_a_file_that_cannot_be_opened_leaves_no_descriptor(path: Path) -> None:
    path.unlink()
    path.mkdir()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with pytest.raises(AuditUnavailable, match="cannot be opened"), LockedLog(path).write_lock():
            pytest.fail("a folder is no log")
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_unlock_that_fails_closes_the_files_so_that_no_lock_is_kept(log: LockedLog, path: Path) -> None:
    class Failing:
        LOCK_EX, LOCK_UN = fcntl.LOCK_EX, fcntl.LOCK_UN

        def flock(self, fd: int, how: int) -> None:
            if how == fcntl.LOCK_UN:
                raise OSError(errno.ENOLCK, "injected")
            fcntl.flock(fd, how)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.audit.storage.locks.fcntl", Failing())
        with log.both_locks():
            pass
    assert log.fd == -1
    assert is_free(path, LockedLog.both_locks)


def test_a_new_log_s_files_are_private_and_their_names_durable(tmp_path: Path) -> None:
    synced: list[Path] = []

    class Watching(RealOs):
        def fsync(self, fd: int) -> None:
            synced.append(Path(f"/proc/self/fd/{fd}").readlink())

    log = LockedLog(tmp_path / "logs" / "log")
    with replaced_os(Watching()):
        log.make()
    assert synced == [tmp_path / "logs"]
    assert sorted(os.listdir(tmp_path / "logs")) == ["log", "log.lock", "log.sync"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "logs").iterdir()} == {0o600}
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be created"):
        LockedLog(tmp_path / "file" / "log").make()


def test_after_a_change_of_files_the_new_one_is_open(log: LockedLog, path: Path) -> None:
    with log.both_locks():
        path.rename(path.with_name("old"))
        path.write_bytes(b"12345")
        log.reopen()
        assert log.size == 5
    assert log.is_in_place()
