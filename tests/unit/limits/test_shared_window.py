"""The moving window that all processes share: exact, whatever the wall clock says and whichever process is killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limits import RateLimitItemPerMinute
from limits.strategies import MovingWindowRateLimiter

from app.limits import shared_window
from app.limits.shared_folder import FEW_ENTRIES, LOCK, SharedFolder, folder_of
from app.limits.shared_hits import HIT
from app.limits.shared_window import WindowStorage, shared_window_url

from ...support.windows import Clock, storage_at

WINDOW = 60


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(tmp_path: Path, clock: Clock) -> Iterator[WindowStorage]:
    storage = storage_at(tmp_path, clock)
    yield storage
    storage.close()


# --- the moving window -------------------------------------------------------------------------------

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hit"), st.sampled_from("ab"), st.integers(1, 3)),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from([1, 7, 29, 30, 59, 60, 61, 200])),
        st.tuples(st.just("forget"), st.just(""), st.just(0)),
        st.tuples(st.just("give back"), st.sampled_from("ab"), st.just(0)),
    ),
    max_size=60,
)


class Model:
    """The moving window as anybody would write it down: all hits ever, and those of the last minute counted."""

    def __init__(self) -> None:
        self.hits: dict[str, list[float]] = {"a": [], "b": []}

    def live(self, key: str, now: float) -> list[float]:
        return [at for at in self.hits[key] if at > now - WINDOW]

    def hit(self, key: str, limit: int, amount: int, now: float) -> bool:
        allowed = len(self.live(key, now)) + amount <= limit
        self.hits[key] += [now] * amount * allowed
        return allowed


@settings(deadline=None)
@given(steps=STEPS, limit=st.integers(1, 5))
def test_it_allows_and_counts_what_a_simple_model_allows_and_counts(steps: list[tuple[str, str, int]], limit: int) -> None:
    clock, model = Clock(), Model()
    with TemporaryDirectory() as folder, closing(storage_at(Path(folder, "own"), clock)) as storage:
        follow(storage, clock, model, steps, limit)


def follow(storage: WindowStorage, clock: Clock, model: Model, steps: list[tuple[str, str, int]], limit: int) -> None:
    for what, key, number in steps:
        if what == "hit":
            assert storage.acquire_entry(key, limit, WINDOW, number) == model.hit(key, limit, number, clock.now)
        elif what == "wait":
            clock.now += number
        elif what == "give back":
            storage.give_back(key)
            del model.hits[key][-1:]
        else:
            storage.forget_old()
        for one in "ab":
            live = model.live(one, clock.now)
            assert storage.get_moving_window(one, limit, WINDOW) == (live[0] if live else clock.now, len(live))


def test_the_newest_hit_is_the_one_that_is_given_back(storage: WindowStorage, clock: Clock) -> None:
    for now in (1000.0, 1010.0):
        clock.now = now
        storage.acquire_entry("alice", 9, WINDOW)
    storage.give_back("alice")
    assert storage.get_moving_window("alice", 9, WINDOW) == (1000.0, 1)
    assert storage.acquire_entry("alice", 2, WINDOW)
    assert not storage.acquire_entry("alice", 2, WINDOW)


@pytest.mark.parametrize("expired", range(10))
def test_the_oldest_hit_in_the_window_is_found_wherever_it_is(storage: WindowStorage, clock: Clock, expired: int) -> None:
    for number in range(9):
        clock.now = 1000.0 + number
        assert storage.acquire_entry("alice", 9, WINDOW)
    clock.now = 1000.0 + WINDOW + expired - 1
    oldest = 1000.0 + expired if expired < 9 else clock.now
    assert storage.get_moving_window("alice", 9, WINDOW) == (oldest, 9 - expired)


def test_a_refusal_names_the_first_moment_at_which_a_call_succeeds(storage: WindowStorage, clock: Clock) -> None:
    limiter, item = MovingWindowRateLimiter(storage), RateLimitItemPerMinute(3)
    for pause in (0, 10, 5):
        clock.now += pause
        assert limiter.hit(item, "alice")
    for _ in range(3):
        assert not limiter.hit(item, "alice")
        reset = limiter.get_window_stats(item, "alice").reset_time
        clock.now = reset - 0.001
        assert not limiter.hit(item, "alice")
        clock.now = reset
        assert limiter.hit(item, "alice")


def test_the_time_of_a_hit_is_taken_while_nobody_else_can_write(tmp_path: Path) -> None:
    """Taken before, it could be older than the hits of those who went first, who then would not count."""
    other, is_locked = SharedFolder(tmp_path), list[bool]()

    def clock() -> float:
        try:
            with other:
                is_locked.append(False)
        except TimeoutError:
            is_locked.append(True)
        return 1000.0 + len(is_locked)

    storage = storage_at(tmp_path, clock)
    assert storage.acquire_entry("alice", 1, WINDOW)
    last = len(is_locked)
    assert is_locked[-1]
    assert storage.get_moving_window("alice", 1, WINDOW) == (1000.0 + last, 1)
    storage.close()
    other.close()


def test_a_wall_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage, real = storage_at(tmp_path), time.time
    assert storage.acquire_entry("alice", 1, WINDOW)
    for jump in (-86_400, 86_400):
        monkeypatch.setattr(time, "time", lambda by=jump: real() + by)
        assert not storage.acquire_entry("alice", 1, WINDOW)
        assert storage.get_moving_window("alice", 1, WINDOW)[1] == 1
    storage.close()


# --- many processes ----------------------------------------------------------------------------------


def hammer(folder: Path, start: Event, counts: Any) -> None:
    start.wait()
    storage = storage_at(folder)
    counts.put(sum(storage.acquire_entry("alice", 50, WINDOW) for _ in range(150)))


@pytest.mark.slow
def test_processes_that_open_it_at_once_allow_exactly_the_limit_together(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir(mode=0o700)
        start, counts = context.Event(), context.Queue()
        children = [context.Process(target=hammer, args=(folder, start, counts)) for _ in range(4)]
        for child in children:
            child.start()
        start.set()
        assert sum(counts.get(timeout=60) for _ in children) == 50
        for child in children:
            child.join()


def hold_and(number: int, folder: Path) -> None:
    with SharedFolder(folder):
        os.kill(os.getpid(), number)


def test_a_process_killed_in_the_middle_of_a_hit_holds_nobody_up(tmp_path: Path) -> None:
    storage = storage_at(tmp_path)
    assert storage.acquire_entry("alice", 2, WINDOW)
    child = multiprocessing.get_context("fork").Process(target=hold_and, args=(signal.SIGKILL, tmp_path))
    child.start()
    child.join()
    assert [storage.acquire_entry("alice", 2, WINDOW) for _ in range(2)] == [True, False]
    storage.close()


def test_a_process_stopped_in_the_middle_is_waited_for_only_so_long(tmp_path: Path) -> None:
    storage = storage_at(tmp_path)
    assert storage.acquire_entry("alice", 2, WINDOW)
    child = multiprocessing.get_context("fork").Process(target=hold_and, args=(signal.SIGSTOP, tmp_path))
    child.start()
    assert child.pid
    os.waitpid(child.pid, os.WUNTRACED)
    with pytest.raises(TimeoutError, match="another process holds the lock"):
        storage.acquire_entry("alice", 2, WINDOW)
    os.kill(child.pid, signal.SIGCONT)
    child.join()
    assert [storage.acquire_entry("alice", 2, WINDOW) for _ in range(2)] == [True, False]
    storage.close()


def test_a_bucket_that_is_full_only_after_its_time_is_full(storage: WindowStorage, tmp_path: Path) -> None:
    """As one is in a folder for temporary files after a reboot, whose clock begins at zero."""
    assert [storage.take(2, 0.5) for _ in range(3)] == [0.0, 0.0, 2.0]
    (tmp_path / LOCK).write_bytes(struct.pack("<d", 1004.5))
    assert [storage.take(2, 0.5) for _ in range(3)] == [0.0, 0.0, 2.0]


# --- where it is kept --------------------------------------------------------------------------------


def test_the_files_name_the_boot_for_the_clock_begins_at_zero_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log, boot = tmp_path / "audit_log.jsonl", tmp_path / "boot_id"
    monkeypatch.setattr(shared_window, "BOOT_ID", boot)
    folder = folder_of(log)
    assert shared_window_url(log) == f"window://{folder}/limits-1-"
    boot.write_text("0123abcd-4567\n")
    assert shared_window_url(log) == f"window://{folder}/limits-1-0123abcd"
    folder.rmdir()


def test_the_last_one_to_close_it_removes_the_files_of_every_version(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    one, other = storage_at(folder), storage_at(folder)
    for storage in (one, other):
        storage.acquire_entry("alice", 9, WINDOW)
        storage.acquire_entry("unproven/a", 9, WINDOW)
    (folder / "limits.sqlite3").touch()
    one.close()
    assert len(list(folder.iterdir())) == 6
    other.close()
    assert not folder.exists()


def test_what_may_be_long_to_read_is_read_without_the_lock(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    one, late, third = storage_at(tmp_path, clock), storage_at(tmp_path, clock), SharedFolder(tmp_path)
    for now in (1019.0, 1021.0):
        clock.now = now
        assert one.acquire_entry("alice", 900, WINDOW, 300)
    real, read = late._proven._take_in, list[int]()

    def watched(data: bytes) -> None:
        if len(data) > HIT.size:
            read.append(len(data) // HIT.size)
            with third:
                pass
        real(data)

    monkeypatch.setattr(late._proven, "_take_in", watched)
    assert late.acquire_entry("alice", 601, WINDOW)
    assert read == [FEW_ENTRIES, 300 - FEW_ENTRIES] * 2
    for storage in (one, late, third):
        storage.close()


def test_a_new_minute_waits_for_who_may_still_write_in_the_last_one(storage: WindowStorage, clock: Clock, tmp_path: Path) -> None:
    storage.get_moving_window("alice", 1, WINDOW)
    with closing(SharedFolder(tmp_path)) as other, other:
        assert storage.get_moving_window("alice", 1, WINDOW)[1] == 0, "a window is read without the lock"
        clock.now += WINDOW
        with pytest.raises(TimeoutError):
            storage.get_moving_window("alice", 1, WINDOW)
    assert storage.get_moving_window("alice", 1, WINDOW)[1] == 0


@pytest.mark.parametrize("uptime", [1000.0, 65_863.66, 10_000_000.1, 1e9 / 3])
def test_a_bucket_gives_as_many_as_it_holds_however_long_the_machine_is_up(
    storage: WindowStorage, clock: Clock, uptime: float
) -> None:
    clock.now = uptime
    assert [storage.take(300, 5 / 3) for _ in range(301)].count(0.0) == 300
    clock.now += 60
    assert [storage.take(300, 5 / 3) for _ in range(101)].count(0.0) == 100
