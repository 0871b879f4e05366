"""The marks in the lock file: their exact bytes, and what a reader makes of damaged ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from app.audit.format.record import EMPTY, LogEnd
from app.audit.storage import marks as marks_module
from app.audit.storage.marks import MARK_BYTES, Marks, MarksRead, mark_of, parse_mark
from app.kit import durable_files

from ....support.replaced_os import RealOs
from ....support.tables import for_each

END = LogEnd(size=1234, seq=7, hash="ab" * 32)
LATER = LogEnd(size=2345, seq=9, hash="cd" * 32)
LINE = b"00000000000000001234 00000000000000000007 " + b"ab" * 32 + b" e2553b77\n"


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def test_a_mark_has_these_bytes() -> None:
    assert mark_of(END) == LINE
    assert len(LINE) == MARK_BYTES
    assert mark_of(EMPTY).startswith(b"00000000000000000000 -0000000000000000001 " + b"0" * 64)


@pytest.mark.parametrize("end", [END, EMPTY, LogEnd(10**19, 10**18, "f" * 64)], ids=["some", "empty", "large"])
def test_a_mark_is_read_as_it_was_written(end: LogEnd) -> None:
    assert parse_mark(mark_of(end)) == end
    assert parse_mark(mark_of(end) + b"more") == end


@for_each("at", range(MARK_BYTES))
def test_a_mark_with_a_changed_byte_or_a_missing_end_is_none(at: int) -> None:
    changed = bytearray(LINE)
    changed[at] ^= 1
    assert parse_mark(bytes(changed)) is None
    assert parse_mark(LINE[:at]) is None


def test_half_of_one_mark_and_half_of_another_are_none() -> None:
    old, new = mark_of(END), mark_of(LATER)
    same = {old, new}
    for at in range(MARK_BYTES):
        mixed = new[:at] + old[at:]
        assert (parse_mark(mixed) is None) == (mixed not in same)


def test_the_lock_file_holds_durable_end_sync_and_written_end_in_order(fd: int) -> None:
    marks = Marks(fd)
    marks.set_durable(END)
    assert os.pread(fd, 1000, 0) == mark_of(END) + b"-\n" + mark_of(END)
    marks.set_written(LATER)
    marks.begin_sync()
    assert os.pread(fd, 1000, 0) == mark_of(END) + b"s\n" + mark_of(LATER)
    assert Marks(fd).read() == MarksRead(END, True, LATER)
    marks.end_sync(LATER)
    assert os.pread(fd, 1000, 0) == mark_of(LATER) + b"-\n" + mark_of(LATER)
    assert Marks(fd).read() == MarksRead(LATER, False, LATER)
    marks.begin_sync_of(END)
    assert os.pread(fd, 1000, 0) == mark_of(LATER) + b"s\n" + mark_of(END)


@pytest.mark.parametrize("content", [b"", b"\0" * 234, b"garbage\n", LINE[:50]], ids=["empty", "zeros", "garbage", "torn"])
def test_without_marks_nothing_is_known(fd: int, content: bytes) -> None:
    os.pwrite(fd, content, 0)
    marks = Marks(fd)
    assert (marks.durable(), marks.written(), marks.read()) == (None, None, MarksRead(None, False, None))


def test_the_reach_comes_last_and_is_never_before_the_written_end(fd: int) -> None:
    marks = Marks(fd)
    marks.set_durable(END)
    assert marks.reach() is None  # as an earlier version leaves it
    marks.set_reach(1300)
    assert os.pread(fd, 1000, 234) == b"00000000000000001300 7e7f9b1f\n"
    assert Marks(fd).reach() == 1300
    marks.set_written(LATER)
    assert marks.reach() == LATER.size
    os.pwrite(fd, b"1", 234)
    assert marks.reach() is None


def test_a_mark_of_another_process_is_seen_at_once(fd: int) -> None:
    ours, theirs = Marks(fd), Marks(fd)
    ours.set_durable(END)
    theirs.set_durable(LATER)
    assert (ours.durable(), ours.written()) == (LATER, LATER)


class Failing(RealOs):
    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        raise OSError(28, "injected")


def test_a_mark_may_lag_but_the_start_of_a_sync_must_be_marked(fd: int) -> None:
    marks = Marks(fd)
    marks.set_durable(END)
    with mock.patch.object(durable_files, "os", Failing()), mock.patch.object(marks_module, "os", Failing()):
        marks.set_written(LATER)
        marks.end_sync(LATER)
        with pytest.raises(OSError, match="injected"):
            marks.begin_sync()
        with pytest.raises(OSError, match="injected"):
            marks.begin_sync_of(LATER)
        with pytest.raises(OSError, match="injected"):
            marks.set_reach(5000)
    assert marks.read() == MarksRead(END, False, END)
