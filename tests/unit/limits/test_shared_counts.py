"""What is counted is in exactly one batch, over all processes, and outlives `kill -9` of any."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import LimitsUnavailable
from app.limits import shared_counts
from app.limits.shared_counts import OTHER, CountBatch, Kind, SharedCounts
from app.limits.shared_window import WindowStorage

ALICE, STRANGER = Kind("alice", None, "too_large"), Kind(None, "203.0.113.1", "not_found")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[WindowStorage]:
    storage = storage_at(tmp_path)
    yield storage
    storage.close()


def storage_at(folder: Path) -> WindowStorage:
    return WindowStorage(f"window://{folder}/limits.sqlite3")


def taken(counts: SharedCounts, with_open: bool = True) -> list[CountBatch]:
    return counts.take(with_open, {})


def test_a_batch_is_taken_whole_and_once(storage: WindowStorage) -> None:
    one, other = (SharedCounts(storage, number, 2) for number in range(2))
    one.add({ALICE: 2, STRANGER: 1})
    other.add({ALICE: 3})
    (batch,) = taken(one)
    assert batch.counted == {ALICE: 5, STRANGER: 1}
    other.add({ALICE: 1})
    (second,) = taken(other)
    assert second.counted == {ALICE: 1}
    assert second.id != batch.id
    one.done(batch)
    other.done(second)
    assert taken(one) == taken(other) == []


def test_a_batch_that_is_not_done_is_taken_again_with_its_id(storage: WindowStorage) -> None:
    counts = SharedCounts(storage)
    counts.add({ALICE: 1})
    first = taken(counts)
    counts.add({STRANGER: 1})
    assert taken(counts, with_open=False) == first
    assert [one.counted for one in taken(counts)] == [{ALICE: 1}, {STRANGER: 1}]


def test_a_successor_takes_what_its_predecessor_had_taken(storage: WindowStorage) -> None:
    SharedCounts(storage, 1, 2).add({ALICE: 1})
    (batch,) = taken(SharedCounts(storage, 1, 2))
    assert taken(SharedCounts(storage, 0, 2)) == []
    assert taken(SharedCounts(storage, 1, 2)) == [batch]
    assert taken(SharedCounts(storage, 0, 1)) == [batch], "the service has one worker now"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), max_size=30), st.integers(1, 4))
def test_kinds_past_the_bound_share_one_count(steps: list[tuple[int, int]], bound: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_counts, "MAX_KINDS", bound)
        storage = WindowStorage("window://:memory:")
        counts, expected = SharedCounts(storage), Counter[Kind]()
        for number, count in steps:
            kind = Kind(None, None, f"code_{number}")
            counts.add({kind: count})
            expected[kind if kind in expected or len(expected) < bound else OTHER] += count
        assert sum((one.counted for one in taken(counts)), Counter[Kind]()) == expected
        storage.close()


@pytest.mark.slow
def test_memory_that_cannot_be_used_is_said_and_nothing_is_counted(storage: WindowStorage, tmp_path: Path) -> None:
    counts = SharedCounts(storage)
    counts.add({ALICE: 1})
    with closing(sqlite3.connect(tmp_path / "limits.sqlite3", isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LimitsUnavailable):
            counts.add({ALICE: 1})
        with pytest.raises(LimitsUnavailable):
            counts.take(True, {ALICE: 1})
    assert [one.counted for one in taken(counts)] == [{ALICE: 1}]


def _count_on(folder: Path, counted: Event) -> None:
    counts = SharedCounts(storage_at(folder), 1, 2)
    for _ in range(50):
        counts.add({ALICE: 1})
    taken(counts)
    for _ in range(50):
        counts.add({STRANGER: 1})
    counted.set()
    signal.pause()


def test_a_process_that_is_killed_takes_nothing_with_it(storage: WindowStorage, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    counted = context.Event()
    process = context.Process(target=_count_on, args=(tmp_path, counted))
    process.start()
    assert counted.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    process.close()
    assert [one.counted for one in taken(SharedCounts(storage, 0, 2))] == [{STRANGER: 50}]
    assert [one.counted for one in taken(SharedCounts(storage, 1, 2))] == [{ALICE: 50}]
