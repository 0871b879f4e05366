"""What is counted is in exactly one batch, over all processes, and outlives `kill -9` of any."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import LimitsUnavailable
from app.limits import shared_counts
from app.limits.shared_counts import OPEN, OTHER, CountBatch, Kind, SharedCounts
from app.limits.shared_folder import SharedFolder

from ...support.windows import held

ALICE, STRANGER = Kind("alice", None, "too_large"), Kind(None, "203.0.113.1", "not_found")


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[SharedFolder]:
    with closing(SharedFolder(tmp_path)) as shared:
        yield shared


def taken(counts: SharedCounts, with_open: bool = True) -> list[CountBatch]:
    return counts.take(with_open, {})


def test_a_batch_is_taken_whole_and_once(shared: SharedFolder) -> None:
    one, other = (SharedCounts(shared, number, 2) for number in range(2))
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


def test_a_batch_that_is_not_done_is_taken_again_with_its_id(shared: SharedFolder) -> None:
    counts = SharedCounts(shared)
    counts.add({ALICE: 1})
    first = taken(counts)
    counts.add({STRANGER: 1})
    assert taken(counts, with_open=False) == first
    assert [one.counted for one in taken(counts)] == [{ALICE: 1}, {STRANGER: 1}]


def test_a_successor_takes_what_its_predecessor_had_taken(shared: SharedFolder) -> None:
    SharedCounts(shared, 1, 2).add({ALICE: 1})
    (batch,) = taken(SharedCounts(shared, 1, 2))
    assert taken(SharedCounts(shared, 0, 2)) == []
    assert taken(SharedCounts(shared, 1, 2)) == [batch]
    assert taken(SharedCounts(shared, 0, 1)) == [batch], "the service has one worker now"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), max_size=30), st.integers(1, 4))
def test_kinds_past_the_bound_share_one_count(steps: list[tuple[int, int]], bound: int) -> None:
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder, closing(SharedFolder(Path(folder))) as shared:
        patch.setattr(shared_counts, "MAX_KINDS", bound)
        counts, expected = SharedCounts(shared), Counter[Kind]()
        for number, count in steps:
            kind = Kind(None, None, f"code_{number}")
            counts.add({kind: count})
            expected[kind if kind in expected or len(expected) < bound else OTHER] += count
        assert sum((one.counted for one in taken(counts)), Counter[Kind]()) == expected


@pytest.mark.slow
def test_memory_that_cannot_be_used_is_said_and_nothing_is_counted(shared: SharedFolder, tmp_path: Path) -> None:
    counts = SharedCounts(shared)
    counts.add({ALICE: 1})
    with held(tmp_path):
        with pytest.raises(LimitsUnavailable):
            counts.add({ALICE: 1})
        with pytest.raises(LimitsUnavailable):
            counts.take(True, {ALICE: 1})
    assert [one.counted for one in taken(counts)] == [{ALICE: 1}]


def _count_on(folder: Path, counted: Event) -> None:
    counts = SharedCounts(SharedFolder(folder), 1, 2)
    for _ in range(50):
        counts.add({ALICE: 1})
    taken(counts)
    for _ in range(50):
        counts.add({STRANGER: 1})
    counted.set()
    signal.pause()


def test_a_process_that_is_killed_takes_nothing_with_it(shared: SharedFolder, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    counted = context.Event()
    process = context.Process(target=_count_on, args=(tmp_path, counted))
    process.start()
    assert counted.wait(30)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    process.close()
    assert [one.counted for one in taken(SharedCounts(shared, 0, 2))] == [{STRANGER: 50}]
    assert [one.counted for one in taken(SharedCounts(shared, 1, 2))] == [{ALICE: 50}]


def test_the_file_of_a_batch_is_text_in_lines_of_whole_parts(shared: SharedFolder, tmp_path: Path) -> None:
    counts = SharedCounts(shared)
    counts.add({ALICE: 2, STRANGER: 255})
    counts.add({ALICE: 1})
    head, alice, stranger, end = (tmp_path / OPEN).read_bytes().split(b"\n")
    assert re.fullmatch(rb"[0-9a-f]{32} {15}", head)
    assert alice == b'0000000000000003["alice",null,"too_large"]     '
    assert stranger.rstrip() == b'00000000000000ff[null,"203.0.113.1","not_found"]'
    assert (len(stranger) + 1) % 16 == 0
    assert end == b""


@pytest.mark.parametrize("size", range(1, 49, 7))
def test_the_start_of_a_line_at_the_end_counts_for_nothing(shared: SharedFolder, tmp_path: Path, size: int) -> None:
    """As a process leaves it that is killed while it writes."""
    counts = SharedCounts(shared)
    counts.add({ALICE: 1})
    with (tmp_path / OPEN).open("ab") as file:
        file.write(b'0000000000000009["bobby",null,"too_large"]      '[:size])
    for one in (counts, SharedCounts(shared)):
        one.add({STRANGER: 1, ALICE: 1})
    assert [one.counted for one in taken(counts)] == [{ALICE: 3, STRANGER: 2}]


@pytest.mark.parametrize("text", [b"a text of somebody else\n" * 9, b"\xff\n" * 99, b"0000000000000001[1,2]\n" * 9, b"\n" * 99])
def test_a_file_of_something_else_is_refused_until_it_is_gone(shared: SharedFolder, tmp_path: Path, text: bytes) -> None:
    (tmp_path / OPEN).write_bytes(text)
    counts = SharedCounts(shared)
    for _ in range(2):
        with pytest.raises(LimitsUnavailable):
            counts.add({ALICE: 1})
        with pytest.raises(LimitsUnavailable):
            counts.take(True, {})
        (tmp_path / OPEN).write_bytes(text)
    for file in tmp_path.glob(f"{OPEN}*"):
        file.unlink()
    counts.add({ALICE: 1})
    assert [one.counted for one in taken(counts)] == [{ALICE: 1}]


def test_a_kind_whose_count_was_never_written_is_none(shared: SharedFolder, tmp_path: Path) -> None:
    """As a process leaves it that is killed between the two."""
    counts = SharedCounts(shared)
    counts.add({ALICE: 1})
    with (tmp_path / OPEN).open("ab") as file:
        file.write(b'0000000000000000["bobby",null,"too_large"]     \n')
    (batch,) = taken(counts)
    assert dict(batch.counted) == {ALICE: 1}


def test_what_does_not_fit_is_not_counted(shared: SharedFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    counts, write = SharedCounts(shared), os.pwrite
    counts.add({ALICE: 1})
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda fd, data, at: write(fd, data[:5], at))
        with pytest.raises(LimitsUnavailable):
            counts.add({ALICE: 1, STRANGER: 1})
    counts.add({STRANGER: 1})
    assert [one.counted for one in taken(counts)] == [{ALICE: 1, STRANGER: 1}]
