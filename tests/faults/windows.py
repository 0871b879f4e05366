"""The shared moving window against the one in SQLite, and under many processes of which some are killed."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import random
import signal
import time
from bisect import bisect_right
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.limits.shared_window import WindowStorage

from ..support.sqlite_window import SqliteWindow
from ..support.waiting import eventually
from ..support.windows import Clock, storage_at
from .figures import Figures

WINDOW = 60
KEYS = [f"{kind}{number}" for number in range(40) for kind in ("rpm/", "unproven/")]
PAUSES = [0.0, 0.001, 0.5, 1.0, 3.0, 10.0]
LONG_PAUSES = [30.0, 59.0, 59.999, 60.0, 60.001, 61.0, 120.0, 200.0]
LIMIT = 5000
NOT_READY = -1


def compare(folder: Path, steps: int) -> Figures:
    """*steps* at random by three processes' storages in turn, which now and then are opened again."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock, choose, begun = Clock(), random.Random(1), time.monotonic()
    expected, shared = SqliteWindow(clock), [storage_at(folder, clock) for _ in range(3)]
    for _ in range(steps):
        number, key = choose.randrange(3), KEYS[int(choose.random() ** 3 * len(KEYS))]
        storage = shared[number]
        what = choose.choices(["hit", "window", "give back", "take", "forget", "wait", "open"], [50, 20, 10, 10, 1, 8, 1])[0]
        if what == "hit":
            limit, amount = choose.choice([1, 3, 10, 100, 2000]), choose.choice([1, 1, 1, 2, 17])
            assert storage.acquire_entry(key, limit, WINDOW, amount) == expected.acquire_entry(key, limit, WINDOW, amount)
        elif what == "window":
            assert storage.get_moving_window(key, 1, WINDOW) == expected.get_moving_window(key, 1, WINDOW)
        elif what == "give back":
            storage.give_back(key)
            expected.give_back(key)
        elif what == "take":
            assert abs(storage.take(7, 0.5) - expected.take(7, 0.5)) < 1e-6
        elif what == "forget":
            storage.forget_old()
            expected.forget_old()
        elif what == "open":
            shared[number] = storage_at(folder, clock)
            shared[number].probe()  # from here on it counts, and the files stay
            storage.close()
        else:
            clock.now += choose.choice(PAUSES if choose.random() < 0.98 else LONG_PAUSES)
    for storage in shared:
        storage.close()
    expected.close()
    return Figures(steps, 0, time.monotonic() - begun)


def race(folder: Path, processes: int = 4) -> Figures:
    """*processes* hit one window as fast as they can, and one is killed: LIMIT hits, and no more."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    begun, counts = time.monotonic(), memoryview(mmap.mmap(-1, 8 * processes)).cast("q")  # shared with forked processes
    fork = multiprocessing.get_context("fork")
    for number in range(processes):
        counts[number] = NOT_READY
    children = [fork.Process(target=_hit, args=(folder, counts, number)) for number in range(processes)]
    for child in children:
        child.start()
    eventually(lambda: counts[0] > 100 or sum(counts) > LIMIT - 200)
    children[0].kill()
    for child in children:
        child.join()
        child.close()
    storage = storage_at(folder)
    try:
        found = storage.get_moving_window("alice", LIMIT, WINDOW)[1]
    finally:
        storage.close()
    assert found == LIMIT or time.monotonic() > begun + WINDOW
    assert sum(counts) in (LIMIT - 1, LIMIT), "the killed one may have counted a hit that it did not tell"
    return Figures(sum(counts), 0, time.monotonic() - begun, remarks=[f"by process: {list(counts)}"])


def _hit(folder: Path, counts: Any, number: int) -> None:
    storage = storage_at(folder)
    storage.probe()
    counts[number] = 0
    eventually(lambda: NOT_READY not in counts)
    while _is_allowed(storage):
        counts[number] += 1


def _is_allowed(storage: WindowStorage) -> bool:
    while True:
        try:
            return storage.acquire_entry("alice", LIMIT, WINDOW)
        except TimeoutError:  # on a busy machine another one was stopped with the lock in its hands; nothing was counted
            continue


def sixty(folder: Path, calls: int) -> Figures:
    """*calls* at random times with a limit of 60: no window of a minute, wherever it begins, has more."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock, choose, begun = Clock(), random.Random(1), time.monotonic()
    both, allowed = [storage_at(folder, clock) for _ in range(2)], list[float]()
    for _ in range(calls):
        clock.now += choose.choice([0.0, 0.01, 0.3, 2.0])
        live = len(allowed) - bisect_right(allowed, clock.now - WINDOW)
        assert choose.choice(both).acquire_entry("alice", 60, WINDOW) == (live < 60), clock.now
        if live < 60:
            allowed.append(clock.now)
    for storage in both:
        storage.close()
    return Figures(len(allowed), 0, time.monotonic() - begun)


def kill_often(folder: Path, kills: int) -> Figures:
    """Processes that do all sorts of things are killed at any moment: bobby's window stays as it is."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    begun, fork, choose = time.monotonic(), multiprocessing.get_context("fork"), random.Random(1)
    storage = storage_at(folder)
    assert storage.acquire_entry("bobby", 7, WINDOW, 7)
    for number in range(kills):
        children = [fork.Process(target=_churn, args=(folder, 3 * number + one)) for one in range(3)]
        for child in children:
            child.start()
        time.sleep(choose.random() / 50)
        for child in children:
            assert child.pid
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            child.close()
        _, count = storage.get_moving_window("bobby", 7, WINDOW)
        assert count == 7 or time.monotonic() > begun + WINDOW
    storage.close()
    return Figures(kills, 0, time.monotonic() - begun)


def _churn(folder: Path, number: int) -> None:
    storage, choose = storage_at(folder), random.Random(number)
    while True:
        key, what = choose.choice(KEYS), choose.randrange(3)
        with suppress(TimeoutError):
            if what == 0:
                storage.acquire_entry(key, 200, WINDOW)
            elif what == 1:
                storage.take(5, 1)
            else:
                storage.give_back(key)
