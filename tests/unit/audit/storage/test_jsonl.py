"""The log as a file: torn tails, short writes, edits, replaced files, readers beside a writer."""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.record import MAX_LINE_BYTES, LogEnd, draft
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.marks import REACH_AT, Marks
from app.audit.storage.running import marked_running
from app.audit.storage.store import Batch, Recovery
from app.errors import AppError, AuditCorrupt, AuditUnavailable, EvidenceUnavailable

from ....support.checked import chain_report
from ....support.pipes import pipe_without_writer
from ....support.stored_log import lines_after, record, records, stored, verify
from ....support.stores import open_store

SPAWN = multiprocessing.get_context("spawn")

# --- torn tails ----------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JsonlStore]:
    store = open_store(tmp_path / "audit_log.jsonl")
    AuditLog(store).create({"origin": "test"})
    record(store, 1, 2)
    yield store
    store.close()


def another(store: JsonlStore) -> JsonlStore:
    return open_store(store.path)


def next_line(store: JsonlStore, **details: Any) -> bytes:
    """The line of a writer who has not written it yet."""
    log = stored(store)
    last = log.split(b"\n")[-2]
    head = LogEnd(len(log), json.loads(last)["seq"], json.loads(last)["hash"])
    return lines_after(head, details)[0]


def add(store: JsonlStore, data: bytes) -> None:
    with store.path.open("ab") as file:
        file.write(data)


def write_and_die(store: JsonlStore, data: bytes) -> None:
    """As a writer does who is killed right after its last write."""
    store._log.marks.set_reach(len(stored(store)) + len(data))
    add(store, data)


BEGUN = [b"{", b'{"v":1,"seq":3,', b'{"v":1,"seq":3,"timestamp":"2026-11']
STRANGE = [b"\n", b"\x00" * 5000, b"garbage\nand more\n", b'{"v":1}\n' * 3, b"x" * 200_000, b"torn", b'{"v":1,"seq":4,']


@pytest.mark.parametrize(
    ("torn", "at"),
    [(one, "the next append") for one in BEGUN] + [(one, "the start") for one in BEGUN + STRANGE],
    ids=lambda one: f"{len(one)}-{one[:8]!r}",
)
def test_a_torn_tail_is_set_aside_and_recorded(store: JsonlStore, torn: bytes, at: str) -> None:
    if torn.startswith(b'{"v":1,"seq"'):
        torn = next_line(store, text="never acknowledged")[:-1]
    before = stored(store)
    add(store, torn)
    if at == "the start":
        AuditLog(another(store)).recover()
        receipts = []
    else:
        receipts = record(store, 3)
    recovered = records(store)[3]
    kept = store.path.with_name(recovered["details"]["kept_as"])
    assert recovered["action"] == "log.recovered"
    assert recovered["details"] == {"bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest(), "kept_as": kept.name}
    assert kept.read_bytes() == torn
    assert stored(store).startswith(before)
    assert verify(store, *receipts) == 4 + len(receipts)


def test_only_the_torn_line_is_set_aside_and_the_whole_ones_before_it_stay(store: JsonlStore) -> None:
    whole = next_line(store, text="synced, but its writer died before it could say so")
    write_and_die(store, whole + b'{"v":1,"seq":4,"timest')
    record(store, 5)
    assert [one["action"] for one in records(store)[3:]] == ["log.alive", "log.recovered", "log.alive"]
    assert whole in stored(store)
    assert verify(store) == 6


def test_whole_lines_that_the_mark_does_not_know_stay(store: JsonlStore) -> None:
    add(store, next_line(store, n=3))
    add(store, next_line(store, n=4))
    AuditLog(another(store)).recover()
    assert [one["details"].get("n") for one in records(store)] == [None, 1, 2, 3, 4]
    assert verify(store, *record(store, 5)) == 6


def forged(store: JsonlStore) -> bytes:
    return next_line(store, n="forged")


BY_A_STRANGER: dict[str, Callable[[JsonlStore], bytes]] = {
    **{f"{len(one)}-{one[:8]!r}": lambda store, one=one: one for one in STRANGE},  # type: ignore[misc]
    "an older record again": lambda store: stored(store).splitlines(keepends=True)[1],
    "a record that chains": forged,
    "a record that chains, and the beginning of one": lambda store: forged(store) + b'{"v":1,"seq":4,"timest',
    "a record that chains, and junk": lambda store: forged(store) + b"junk\n",
    "the beginning of a record, and junk": lambda store: b'{"v":1,"seq":3,\njunk',
    "the beginning of a record longer than any": lambda store: b'{"v":1,"seq":3,"timestamp":"' + b"2" * MAX_LINE_BYTES,
}


@pytest.mark.parametrize("what", BY_A_STRANGER)
@pytest.mark.parametrize("by", ["an append", "a probe", "another process"])
def test_what_a_stranger_added_is_refused_until_it_is_gone(store: JsonlStore, what: str, by: str) -> None:
    """Neither set aside nor continued: no writer of ours leaves such bytes in a log in use."""
    before = stored(store)
    add(store, BY_A_STRANGER[what](store))
    strange = stored(store)
    write = {"an append": store.append, "a probe": store.recover, "another process": another(store).append}[by]
    for _ in range(2):
        with pytest.raises(AuditCorrupt, match=f"by a stranger after record 2.* after byte {len(before)}"):
            append(write, [draft("log.alive", None, {})])
    assert stored(store) == strange
    assert beside(store, "torn") == []
    os.truncate(store.path, len(before))
    assert verify(store, *record(store, 3), *record(another(store), 4)) == 5


def test_beside_a_running_service_a_start_sets_nothing_strange_aside(store: JsonlStore) -> None:
    add(store, b"junk\n")
    with marked_running(store.path), pytest.raises(AuditCorrupt, match="by a stranger"):
        AuditLog(another(store)).recover()
    AuditLog(another(store)).recover()
    assert records(store)[3]["action"] == "log.recovered"


def test_a_record_of_a_writer_who_could_not_say_so_is_not_strange(store: JsonlStore) -> None:
    write_and_die(store, next_line(store, n=3))
    assert verify(store, *record(store, 4)) == 5


def test_a_lock_file_of_an_earlier_version_says_nothing_of_strangers(store: JsonlStore) -> None:
    """It knows no reach; a record that chains may be from a writer who died."""
    store.lock_path.write_bytes(store.lock_path.read_bytes()[:REACH_AT])
    add(store, next_line(store, n=3))
    assert verify(store, *record(store, 4)) == 5
    assert Marks(store._log._lock_fd).reach() == len(stored(store))


def test_an_earlier_version_that_writes_beside_this_one_is_no_stranger(store: JsonlStore) -> None:
    """It moves the written mark and leaves the reach as it is."""
    line = next_line(store, n=3)
    last = json.loads(line)
    add(store, line)
    store._log.marks.set_durable(LogEnd(len(stored(store)), last["seq"], last["hash"]))
    assert verify(store, *record(store, 4)) == 5


def test_a_lagging_mark_over_many_pieces_is_caught_up(store: JsonlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.audit.storage.recovery.PIECE", MAX_LINE_BYTES)
    mark = store.lock_path.read_bytes()
    for _ in range(3):
        append(store.append, [draft("log.alive", None, {"text": "x" * 50_000})] * 10)
    before = stored(store)
    store.lock_path.write_bytes(mark)
    write_and_die(store, b'{"v":1,"seq":33,"timest')
    record(store, 1)
    assert stored(store).startswith(before)
    assert records(store)[-2]["details"]["bytes"] == 23
    assert verify(store) == 35


def test_a_recovery_whose_record_finds_no_space_is_recorded_later(store: JsonlStore) -> None:
    """The disk is full for the record, after the torn tail was set aside."""
    write_and_die(store, b'{"v":1,"seq":3')
    with limited_file_size(store.path.stat().st_size + 100), pytest.raises(AuditUnavailable):
        append(store.append, [draft("log.alive", None, {"text": "x" * 1000})])
    record(store, 3)
    assert [one["action"] for one in records(store)[3:]] == ["log.recovered", "log.alive"]
    assert len(beside(store, "torn")) == 1
    assert verify(store) == 5


def test_a_torn_tail_is_found_if_its_writer_is_killed_before_recording_it(store: JsonlStore) -> None:
    write_and_die(store, b'{"v":1,"seq":3')

    child = SPAWN.Process(target=append_and_die, args=(store.path,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    record(store, 3)
    assert [one["action"] for one in records(store)[3:]] == ["log.recovered", "log.alive"]
    assert verify(store) == 5


def append_and_die(path: Path) -> None:
    def build(head: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")

    open_store(path).append(build)


def beside(store: JsonlStore, what: str) -> list[Path]:
    return sorted(store.path.parent.glob(f"*.{what}*"))


# --- short writes --------------------------------------------------------------------------------


@contextmanager
def limited_file_size(size: int) -> Iterator[None]:
    """The kernel writes up to *size* bytes of a file, then fails: a short write, then an error (EFBIG)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)


def test_a_short_write_is_taken_back_and_nothing_is_acknowledged(store: JsonlStore) -> None:
    before = stored(store)
    with limited_file_size(len(before) + 100), pytest.raises(AuditUnavailable):
        record(store, 3, 4, 5)
    assert stored(store) == before
    assert verify(store, *record(store, 3)) == 4
    assert [one["action"] for one in records(store)] == ["log.opened", *["log.alive"] * 3]


def test_a_torn_tail_that_cannot_be_set_aside_stays_and_leaves_no_litter(store: JsonlStore) -> None:
    write_and_die(store, torn := b'{"v":1,"seq":3,"timestamp":"')
    for _ in range(3):
        with limited_file_size(64), pytest.raises(AuditUnavailable):
            record(store, 3)
    assert stored(store).endswith(torn)
    assert beside(store, "torn") == []
    record(store, 3)
    assert verify(store) == 5


def test_another_log_that_cannot_be_written_leaves_the_old_one(store: JsonlStore) -> None:
    before = stored(store)
    with limited_file_size(64), pytest.raises(AuditUnavailable):
        AuditLog(store).begin_another({})
    assert (stored(store), beside(store, "fresh"), beside(store, "retired")) == (before, [], [])
    assert verify(store, *record(store, 3)) == 4


# --- edited, cut, replaced -----------------------------------------------------------------------


def refused(store: JsonlStore, match: str = "", kind: type[AppError] = AuditCorrupt) -> None:
    """By a process that starts and by one that appends; the log stays as it is."""
    before = store.path.read_bytes() if store.path.is_file() else None
    for write in (another(store).recover, another(store).append):
        with pytest.raises(kind, match=match):
            append(write, [])
    assert (store.path.read_bytes() if store.path.is_file() else None) == before


@pytest.mark.parametrize("cut", [1, 75, 300, 10_000])
def test_a_shrunken_log_is_refused(store: JsonlStore, cut: int) -> None:
    os.truncate(store.path, max(0, len(stored(store)) - cut))
    refused(store, "shorter than it was")
    with pytest.raises(AuditCorrupt, match="shorter"):
        record(store, 3)


def test_a_log_that_lost_its_last_line_is_refused(store: JsonlStore) -> None:
    store.path.write_bytes(b"".join(stored(store).splitlines(keepends=True)[:-1]))
    refused(store, "shorter than it was")


def test_an_edited_last_line_is_refused_even_without_a_lock_file(store: JsonlStore) -> None:
    store.lock_path.unlink()
    log = bytearray(stored(store))
    log[-100] ^= 1
    store.path.write_bytes(log)
    refused(store, "last line")


def test_an_empty_log_is_not_created_again_where_there_was_one(store: JsonlStore) -> None:
    os.truncate(store.path, 0)
    refused(store, "shorter than it was")
    with pytest.raises(AuditCorrupt, match="or did"):
        AuditLog(another(store)).create({})


@pytest.mark.parametrize("mark", ["", "garbage\n", "\0" * 200, "9" * 20, "x" * 5000, "20 digits missing"])
def test_a_log_with_an_empty_or_broken_mark_works_like_a_restored_one(store: JsonlStore, mark: str) -> None:
    store.lock_path.write_text(mark)
    AuditLog(another(store)).recover()
    assert verify(store, *record(store, 3), *record(another(store), 4)) == 5


def test_a_restored_backup_without_its_lock_file_works(store: JsonlStore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(store.path, tmp_path / "elsewhere" / "log.jsonl")
    restored = open_store(tmp_path / "elsewhere" / "log.jsonl")
    AuditLog(restored).recover()
    assert verify(restored, *record(restored, 3)) == 4


def test_a_log_is_never_cut_at_the_mark_of_another_log(store: JsonlStore, tmp_path: Path) -> None:
    """A lock file that was restored, or left behind, by mistake: its length falls in the midst of acknowledged records."""
    other = open_store(tmp_path / "other.jsonl")
    AuditLog(other).create({"origin": "quite another"})
    for _ in range(3):
        record(store, 1)
    shutil.copyfile(other.lock_path, store.lock_path)
    refused(store, "not the one that its lock file describes")


def replace_log(store: JsonlStore) -> None:
    copy = store.path.with_name("copy")
    shutil.copy(store.path, copy)
    os.replace(copy, store.path)


REPLACEMENTS: dict[str, Callable[[JsonlStore], object]] = {
    "the log is replaced": replace_log,
    "the log is moved away": lambda store: store.path.rename(store.path.with_name("moved")),
    "the log is deleted": lambda store: store.path.unlink(),
    "the lock is deleted": lambda store: store.lock_path.unlink(),
    "the lock is moved away": lambda store: store.lock_path.rename(store.path.with_name("moved")),
    "the folder is moved away": lambda store: store.path.parent.rename(store.path.parent.with_name("moved")),
}


@pytest.mark.parametrize("how", REPLACEMENTS)
def test_a_file_that_is_replaced_while_in_use_is_not_written_to(tmp_path: Path, how: str) -> None:
    (tmp_path / "logs").mkdir()
    store = open_store(tmp_path / "logs" / "audit_log.jsonl")
    AuditLog(store).create({})
    record(store, 1)
    before = stored(store)
    REPLACEMENTS[how](store)
    with pytest.raises(AuditCorrupt, match="moved or replaced"):
        record(store, 2)
    logs = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert all(log == before for log in logs if log.startswith(b'{"v":1'))
    if store.path.exists():  # whole and ours: the next call goes on with what is there now
        assert verify(store, *record(store, 2)) == 3
    else:
        with pytest.raises(AuditUnavailable):
            record(store, 2)
        assert not store.path.exists()


def test_a_log_that_is_rotated_by_a_stranger_is_refused_for_good(store: JsonlStore) -> None:
    store.path.rename(store.path.with_name("audit_log.jsonl.1"))
    store.path.touch()
    with pytest.raises(AuditCorrupt, match="moved or replaced"):
        record(store, 3)
    refused(store, "shorter than it was")


def test_two_names_of_one_log_share_one_lock(store: JsonlStore, tmp_path: Path) -> None:
    link_ = tmp_path / "name.jsonl"
    link_.symlink_to(store.path)
    assert open_store(link_).lock_path == store.lock_path


def test_a_lock_file_that_cannot_be_opened_is_reported_each_time(store: JsonlStore) -> None:
    """Not only once: a half-opened store must not go on without its lock."""
    fresh, mark = another(store), store.lock_path.read_bytes()
    store.lock_path.unlink()
    store.lock_path.mkdir()
    for _ in range(3):
        with pytest.raises(AuditUnavailable, match="cannot be opened"):
            record(fresh, 3)
    store.lock_path.rmdir()
    store.lock_path.write_bytes(mark)
    assert verify(fresh, *record(fresh, 3)) == 4


# --- reading beside a writer ---------------------------------------------------------------------


def test_the_length_is_taken_under_the_lock(store: JsonlStore) -> None:
    """While a writer is in the midst of a line, a reader waits; then it sees whole lines."""
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.append(another(store).size()))
    line = next_line(store, n=3)
    with store.lock_path.open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        add(store, line[:50])
        reader.start()
        reader.join(0.2)
        assert (reader.is_alive(), seen) == (True, [])
        add(store, line[50:])
        fcntl.flock(lock, fcntl.LOCK_UN)
    reader.join(10)
    assert seen == [store.path.stat().st_size]


def test_a_reader_in_the_same_process_does_not_let_go_of_the_writers_lock(store: JsonlStore) -> None:
    def build(head: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
        reader = threading.Thread(target=store.size)
        reader.start()
        reader.join(0.2)
        with store.lock_path.open("rb+") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return Batch(b"", head)

    store.append(build)


def test_pipes_in_place_of_the_log_and_its_lock_hold_no_reader_up(store: JsonlStore) -> None:
    with pipe_without_writer(store.path), pipe_without_writer(store.lock_path):
        assert (store.durable(), store.size()) == (None, 0)
        with pytest.raises(EvidenceUnavailable):
            list(store.chunks(10))


def test_a_log_that_may_only_be_read_can_be_verified(store: JsonlStore, tmp_path: Path) -> None:
    """An auditor's copy: no lock file beside it, none is made."""
    (tmp_path / "copy").mkdir()
    shutil.copy(store.path, tmp_path / "copy" / "log.jsonl")
    copy = open_store(tmp_path / "copy" / "log.jsonl")
    assert chain_report(AuditLog(copy)).entries == 3
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["log.jsonl"]
