"""What every AuditStore must do (the first part, for any backend), and what a file must besides."""

from __future__ import annotations

import fcntl
import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.chain import link
from app.audit.format.record import MAX_LINE_BYTES, LogEnd, Receipt, draft
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.store import AuditStore, Batch, Recovery
from app.errors import AppError, AuditCorrupt, AuditUnavailable

from ..support.checked import chain_report
from ..support.service import Service

SPAWN = multiprocessing.get_context("spawn")
PROCESSES, RECORDS = 4, 250


def record(store: AuditStore, *numbers: int, by: str = "test") -> list[Receipt]:
    return append(store.append, [draft("log.alive", None, {"n": n, "by": by}) for n in numbers])


def stored(store: AuditStore) -> bytes:
    return b"".join(store.chunks(store.size()))


def records(store: AuditStore) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stored(store).split(b"\n")[:-1]]


def verify(store: AuditStore, *receipts: Receipt) -> int:
    """How many records there are; all of them sound, the receipts among them."""
    verdict = chain_report(AuditLog(store), receipts)
    assert verdict.findings == []
    return verdict.entries


# --- the list for any backend ---------------------------------------------------------------------


class StoreContract:
    """A backend's tests inherit this and say how to open a store: `open(place)` twice is two processes' view of one log."""

    @staticmethod
    def open(place: Path) -> AuditStore:
        raise NotImplementedError("a backend's own tests say how to open a store")

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        return tmp_path / "audit_log.jsonl"

    @pytest.fixture
    def store(self, place: Path) -> Iterator[AuditStore]:
        store = self.open(place)
        AuditLog(store).create({"origin": "test"})
        yield store
        store.close()

    def test_what_is_appended_stands_there_on_return_for_every_reader(self, store: AuditStore, place: Path) -> None:
        receipts = record(store, 1, 2, 3)
        assert [one.seq for one in receipts] == [1, 2, 3]
        assert verify(self.open(place), *receipts) == 4

    def test_the_bytes_are_kept_as_they_were_given(self, store: AuditStore) -> None:
        given: list[bytes] = []

        def build(head: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
            data, _, after = link([draft("log.alive", None, {"text": "é\u2028\n"})] * 3, head, "2026-11-23T09:15:02.123456Z")
            given.append(data)
            return Batch(data, after)

        store.append(build)
        assert stored(store).endswith(given[0])

    def test_a_log_that_does_not_exist_cannot_be_appended_to(self, tmp_path: Path) -> None:
        store = self.open(tmp_path / "nothing.jsonl")
        assert not store.exists()
        for write in (store.append, store.recover):
            with pytest.raises(AuditUnavailable):
                append(write, [])
        assert not store.exists()

    def test_a_log_is_created_once(self, store: AuditStore) -> None:
        before = stored(store)
        with pytest.raises(AuditCorrupt):
            AuditLog(store).create({})
        assert stored(store) == before

    def test_of_many_that_create_at_once_one_succeeds(self, tmp_path: Path) -> None:
        outcomes = at_once(8, lambda n: AuditLog(self.open(tmp_path / "log")).create({"n": n}))
        assert sorted(isinstance(one, AuditCorrupt) for one in outcomes) == [False] + [True] * 7
        assert verify(self.open(tmp_path / "log")) == 1

    def test_many_processes_write_one_chain_and_lose_nothing(self, store: AuditStore, place: Path) -> None:
        opened = self.open
        results = SPAWN.Queue()
        writers = [SPAWN.Process(target=write_many, args=(opened, place, number, results)) for number in range(PROCESSES)]
        for writer in writers:
            writer.start()
        receipts = [Receipt(*one) for _ in writers for one in results.get(timeout=60)]
        for writer in writers:
            writer.join()
        assert len({one.seq for one in receipts}) == len(receipts)
        assert verify(opened(place), *receipts) == len(receipts) + 1

    def test_many_threads_of_one_process_write_one_chain(self, store: AuditStore) -> None:
        """One thread writes in the service; but the lock must part two of them as well."""
        outcomes = at_once(8, lambda n: [one for k in range(40) for one in record(store, k, by=str(n))])
        receipts = [one for outcome in outcomes for one in outcome]
        assert verify(store, *receipts) == 321

    def test_a_build_that_fails_leaves_nothing_and_no_lock(self, store: AuditStore, place: Path) -> None:
        def build(head: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
            raise KeyError("not ours")

        with pytest.raises(KeyError):
            store.append(build)
        assert verify(self.open(place), *record(self.open(place), 1)) == 2

    def test_settling_a_sound_log_changes_nothing(self, store: AuditStore) -> None:
        record(store, 1)
        before = stored(store)
        AuditLog(store).recover()
        assert stored(store) == before

    def test_another_log_names_the_old_head_and_keeps_the_old_log(self, store: AuditStore, place: Path) -> None:
        receipt = record(store, 1, 2)[-1]
        old = stored(store)
        log = AuditLog(store)
        opened = log.begin_another({"origin": "test"})
        previous = records(store)[0]["details"]["previous"]
        assert (opened.seq, verify(store, opened)) == (0, 1)
        assert previous["head"] == {"seq": receipt.seq, "hash": receipt.hash, "size": len(old)}
        assert b"".join(self.open(place.with_name(previous["kept_as"])).chunks(len(old))) == old
        assert verify(store, *record(store, 3)) == 2

    def test_closing_twice_is_harmless_and_the_store_opens_again_by_itself(self, store: AuditStore) -> None:
        store.close()
        store.close()
        assert verify(store, *record(store, 1)) == 2


def write_many(opened: Callable[[Path], AuditStore], place: Path, number: int, results: Any) -> None:
    store = opened(place)
    mine = [one for n in range(RECORDS) for one in record(store, *range(n % 4 + 1), by=str(number))]
    results.put([(one.seq, one.hash) for one in mine])


class TestJsonlStore(StoreContract):
    @staticmethod
    def open(place: Path) -> AuditStore:
        return JsonlStore(place)


def at_once(many: int, work: Callable[[int], Any]) -> list[Any]:
    """What *work* returns or raises (AppError) in each of *many* threads that start together."""
    outcomes: list[Any] = [None] * many
    gate = threading.Barrier(many)

    def run(number: int) -> None:
        gate.wait()
        try:
            outcomes[number] = work(number)
        except AppError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


# --- a file: torn tails --------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JsonlStore]:
    store = JsonlStore(tmp_path / "audit_log.jsonl")
    AuditLog(store).create({"origin": "test"})
    record(store, 1, 2)
    yield store
    store.close()


def another(store: JsonlStore) -> JsonlStore:
    return JsonlStore(store.path)


def next_line(store: JsonlStore, **details: Any) -> bytes:
    """The line of a writer who has not written it yet."""
    log = stored(store)
    last = log.split(b"\n")[-2]
    head = LogEnd(len(log), json.loads(last)["seq"], json.loads(last)["hash"])
    return link([draft("log.alive", None, details)], head, "2026-11-23T09:15:02.123456Z")[0]


def add(store: JsonlStore, data: bytes) -> None:
    with store.path.open("ab") as file:
        file.write(data)


TORN = [b"{", b'{"v":1,"seq":3,', b"\n", b"\x00" * 5000, b"garbage\nand more\n", b'{"v":1}\n' * 3, b"x" * 200_000]


@pytest.mark.parametrize("torn", TORN, ids=lambda torn: f"{len(torn)}-{torn[:8]!r}")
@pytest.mark.parametrize("at", ["the next append", "the start"])
def test_what_a_dead_writer_left_unfinished_is_set_aside_and_recorded(store: JsonlStore, torn: bytes, at: str) -> None:
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
    whole = next_line(store, text="synced, but its writer died before he could say so")
    add(store, whole + b'{"v":1,"seq":4,"timest')
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


def test_whole_lines_that_do_not_follow_are_set_aside(store: JsonlStore) -> None:
    """A line that is a record, but not the next one: what the lock's holder would never have written."""
    add(store, stored(store).splitlines(keepends=True)[1])
    record(store, 3)
    assert records(store)[3]["action"] == "log.recovered"
    assert verify(store) == 5


def test_a_lagging_mark_over_many_pieces_is_caught_up(store: JsonlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.audit.storage.recovery.PIECE", MAX_LINE_BYTES)
    mark = store.lock_path.read_bytes()
    for _ in range(3):
        append(store.append, [draft("log.alive", None, {"text": "x" * 50_000})] * 10)
    before = stored(store)
    store.lock_path.write_bytes(mark)
    add(store, b"torn" * 50_000)
    record(store, 1)
    assert stored(store).startswith(before)
    assert records(store)[-2]["details"]["bytes"] == 200_000
    assert verify(store) == 35


def test_a_recovery_is_recorded_later_if_its_record_could_not_be_written_at_once(store: JsonlStore) -> None:
    """The disk is full for the record, after the torn tail was set aside."""
    add(store, b"torn")
    with limited_file_size(store.path.stat().st_size + 100), pytest.raises(AuditUnavailable):
        append(store.append, [draft("log.alive", None, {"text": "x" * 1000})])
    record(store, 3)
    assert [one["action"] for one in records(store)[3:]] == ["log.recovered", "log.alive"]
    assert len(beside(store, "torn")) == 1
    assert verify(store) == 5


def test_a_writer_killed_between_setting_aside_and_recording_leaves_the_torn_tail_to_be_found(store: JsonlStore) -> None:
    add(store, b"torn")

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

    JsonlStore(path).append(build)


def beside(store: JsonlStore, what: str) -> list[Path]:
    return sorted(store.path.parent.glob(f"*.{what}*"))


# --- a file: short writes ------------------------------------------------------------------------


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
    add(store, b"torn" * 100)
    for _ in range(3):
        with limited_file_size(64), pytest.raises(AuditUnavailable):
            record(store, 3)
    assert stored(store).endswith(b"torn" * 100)
    assert beside(store, "torn") == []
    record(store, 3)
    assert verify(store) == 5


def test_another_log_that_cannot_be_written_leaves_the_old_one(store: JsonlStore) -> None:
    before = stored(store)
    with limited_file_size(64), pytest.raises(AuditUnavailable):
        AuditLog(store).begin_another({})
    assert (stored(store), beside(store, "fresh"), beside(store, "retired")) == (before, [], [])
    assert verify(store, *record(store, 3)) == 4


# --- a file: edited, cut, replaced ---------------------------------------------------------------


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


@pytest.mark.parametrize("at", [-2, -10, -100, -200])
def test_an_edited_last_line_is_refused_at_the_start(store: JsonlStore, at: int) -> None:
    log = bytearray(stored(store))
    log[at] ^= 1
    store.path.write_bytes(log)
    with pytest.raises(AuditCorrupt):
        AuditLog(another(store)).recover()


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
    restored = JsonlStore(tmp_path / "elsewhere" / "log.jsonl")
    AuditLog(restored).recover()
    assert verify(restored, *record(restored, 3)) == 4


def test_a_log_is_never_cut_at_the_mark_of_another_log(store: JsonlStore, tmp_path: Path) -> None:
    """A lock file that was restored, or left behind, by mistake: its length falls in the midst of acknowledged records."""
    other = JsonlStore(tmp_path / "other.jsonl")
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
    store = JsonlStore(tmp_path / "logs" / "audit_log.jsonl")
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
    assert JsonlStore(link_).lock_path == store.lock_path


def test_a_lock_file_that_cannot_be_opened_is_said_each_time_and_works_when_it_can(store: JsonlStore) -> None:
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


# --- a file: reading beside a writer -------------------------------------------------------------


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


def test_a_log_that_may_only_be_read_can_be_verified(store: JsonlStore, tmp_path: Path) -> None:
    """An auditor's copy: no lock file beside it, none is made."""
    (tmp_path / "copy").mkdir()
    shutil.copy(store.path, tmp_path / "copy" / "log.jsonl")
    copy = JsonlStore(tmp_path / "copy" / "log.jsonl")
    assert chain_report(AuditLog(copy)).entries == 3
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["log.jsonl"]


def test_a_log_that_grows_while_it_is_verified_is_sound(store: JsonlStore) -> None:
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            record(another(store), *range(20))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert all(chain_report(AuditLog(another(store))).ok for _ in range(50))
    finally:
        done.set()
        writer.join()


# --- init ----------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> Service:
    return Service(tmp_path / "house", OPENAI_BASE_URL="http://127.0.0.1:9/v1")


def complains(house: Service, *arguments: str) -> str:
    done = house.run(*arguments, status=2)
    assert "Traceback" not in done.stderr
    return done.stderr


def test_init_can_be_repeated(house: Service) -> None:
    before = house.log.read_bytes()
    assert house.cli("init")["receipt"] is None
    assert house.log.read_bytes() == before


def test_a_missing_log_beside_a_database_is_refused_by_every_command(house: Service) -> None:
    house.log.unlink()
    for command in (["init"], ["serve"], ["audit", "verify"], ["clients", "add", "alice", "--role", "ai.playground.user"]):
        assert "missing" in complains(house, *command)
    assert not house.log.exists()


@pytest.mark.parametrize("lock_too", [False, True])
def test_a_log_that_was_emptied_is_not_begun_again_by_init(house: Service, lock_too: bool) -> None:
    os.truncate(house.log, 0)
    if lock_too:
        house.log.with_name(house.log.name + ".lock").unlink()
    for command in (["init"], ["serve"], ["audit", "verify"]):
        assert "empty" in complains(house, *command)
    assert house.log.stat().st_size == 0


def test_init_new_log_names_the_old_head_even_of_a_log_that_is_gone(house: Service) -> None:
    last = house.records()[-1]
    house.log.unlink()
    house.cli("init", "--new-log")
    assert house.records()[0]["details"]["previous"]["head"]["hash"] == last["hash"]
    assert house.verify()["ok"]


def test_two_inits_at_once_make_one_log_and_both_succeed(tmp_path: Path, house: Service) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    command = [sys.executable, "-m", "app", "init", "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    inits = [subprocess.Popen(command, cwd=folder, env=house.env, **pipes) for _ in range(4)]
    said = [init.communicate(timeout=60) for init in inits]
    assert [init.returncode for init in inits] == [0] * 4, said
    assert sum(json.loads(out)["receipt"] is not None for out, _ in said) == 1
    assert verify(JsonlStore(folder / "logs" / "audit_log.jsonl")) == 1
