"""The end of the log with nobody else at it: found from marks and bytes, extended, written again after a failed sync."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.record import EMPTY, LogEnd
from app.audit.storage.locks import LockedLog
from app.audit.storage.marks import MarksRead
from app.audit.storage.recovery import end_of_lines
from app.audit.storage.store import Batch
from app.audit.storage.tail import LogTail
from app.errors import AuditCorrupt, AuditUnavailable

from ....support.replaced_os import RealOs, replaced_os
from ....support.stored_log import building, lines_after

DATA, _, END = lines_after(EMPTY, *({"n": n, "text": "x" * 3000} for n in range(3)))
NEXT, _, AFTER = lines_after(END, {"n": 3, "text": "x" * 3000}, {"n": 4})
FIRST = end_of_lines(DATA.splitlines(keepends=True)[0], EMPTY)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LockedLog]:
    """Three records, written and durable; both locks are held."""
    log = LockedLog(tmp_path / "log.jsonl")
    log.make()
    log.path.write_bytes(DATA)
    with log.both_locks():
        log.marks.set_durable(END)
        yield log
    log.close()


@pytest.fixture
def tail(log: LockedLog) -> LogTail:
    return LogTail(log)


def add(log: LockedLog, data: bytes) -> None:
    os.pwrite(log.fd, data, log.size)


class FailingSync(RealOs):
    """The first *fails* syncs fail; *lose*: from there the cache has zeros then."""

    def __init__(self, fails: int = 1, lose: int | None = None) -> None:
        self._fails, self._lose = fails, lose

    def fdatasync(self, fd: int) -> None:
        if self._fails:
            self._fails -= 1
            if self._lose is not None:
                os.pwrite(fd, bytes(os.fstat(fd).st_size - self._lose), self._lose)
            raise OSError(errno.EIO, "injected")
        os.fdatasync(fd)


# --- find the end --------------------------------------------------------------------------------


def test_a_mark_at_the_end_of_the_file_is_believed_without_a_read(log: LockedLog, tail: LogTail) -> None:
    os.pwrite(log.fd, b"?", 0)
    assert tail.durable_end() == END


@pytest.mark.parametrize("mark", [EMPTY, FIRST, None], ids=["empty", "an older one", "none"])
def test_whole_records_past_the_mark_are_durable(log: LockedLog, tail: LogTail, mark: LogEnd | None) -> None:
    if mark is None:
        log.lock_path.write_bytes(b"")
    else:
        log.marks.set_durable(mark)
    assert tail.durable_end() == END


def test_a_shorter_log_is_refused(log: LockedLog, tail: LogTail) -> None:
    os.ftruncate(log.fd, END.size - 1)
    with pytest.raises(AuditCorrupt, match=rf"shorter than it was: {END.size - 1} bytes of {END.size}"):
        tail.durable_end()


def test_a_mark_of_another_log_is_refused_and_nothing_is_cut(log: LockedLog, tail: LogTail) -> None:
    log.marks.set_durable(LogEnd(FIRST.size, 0, "f" * 64))
    with pytest.raises(AuditCorrupt, match="not the one that its lock file describes"):
        tail.durable_end()
    assert log.path.read_bytes() == DATA


def test_a_torn_tail_stays_until_the_lines_that_record_it_are_written(log: LockedLog, tail: LogTail) -> None:
    add(log, b"torn" * 2000)
    end = tail.recover_end(is_start=True)
    assert (end, log.size, log.marks.written()) == (END, END.size + 8000, END)
    (found,) = tail.unrecorded
    assert log.path.with_name(found.kept_as).read_bytes() == b"torn" * 2000
    seen = []

    def build(at: LogEnd, recovered: Any) -> Batch:
        seen.append((at, recovered))
        return Batch(NEXT, AFTER)

    tail.extend(end, build)
    assert seen == [(END, (found,))]
    assert (log.path.read_bytes(), tail.unrecorded) == (DATA + NEXT, [])


def test_the_known_end_of_a_damaged_log_is_what_can_be_found(log: LockedLog, tail: LogTail) -> None:
    log.marks.set_durable(FIRST)
    assert tail.known_end() == END  # followed from the mark
    os.ftruncate(log.fd, 10)
    assert tail.known_end() == FIRST  # only the mark knows it
    log.lock_path.write_bytes(b"")
    assert tail.known_end() is None
    log.marks.set_durable(EMPTY)
    assert tail.known_end() is None
    assert log.size == 10


# --- write ---------------------------------------------------------------------------------------


def test_a_committed_batch_is_marked_written_and_durable(log: LockedLog, tail: LogTail) -> None:
    tail.commit(END, Batch(NEXT, AFTER))
    assert log.path.read_bytes() == DATA + NEXT
    assert log.marks.read() == MarksRead(AFTER, False, AFTER)


def test_a_short_write_is_taken_back_and_the_marks_say_so(log: LockedLog, tail: LogTail) -> None:
    class Full(RealOs):
        def pwrite(self, fd: int, data: Any, offset: int) -> int:
            if fd == log.fd and offset > END.size:
                raise OSError(errno.ENOSPC, "injected")
            return os.pwrite(fd, bytes(data)[:100] if fd == log.fd else data, offset)

    with replaced_os(Full()), pytest.raises(OSError, match="injected"):
        tail.commit(END, Batch(NEXT, AFTER))
    assert log.path.read_bytes() == DATA
    assert log.marks.read() == MarksRead(END, False, END)


def test_a_recovery_whose_lines_failed_is_offered_again(log: LockedLog, tail: LogTail) -> None:
    add(log, b"torn")
    tail.recover_end(is_start=True)
    with replaced_os(FailingSync(fails=10)), pytest.raises(OSError, match="injected"):
        tail.extend(END, building({"n": 3}))
    assert len(tail.unrecorded) == 1


def test_after_a_failed_sync_the_batch_is_written_from_memory(log: LockedLog, tail: LogTail) -> None:
    with replaced_os(FailingSync(lose=END.size)):
        tail.commit(END, Batch(NEXT, AFTER))
    assert log.path.read_bytes() == DATA + NEXT


def test_after_two_failed_syncs_nothing_of_the_batch_is_left(log: LockedLog, tail: LogTail) -> None:
    with replaced_os(FailingSync(fails=2)), pytest.raises(OSError, match="injected"):
        tail.commit(END, Batch(NEXT, AFTER))
    assert log.path.read_bytes() == DATA
    assert log.marks.read() == MarksRead(END, False, END)


@pytest.mark.parametrize("lost", [False, True], ids=["theirs are whole", "theirs are lost"])
def test_other_writers_lines_are_kept_only_if_they_still_chain(log: LockedLog, tail: LogTail, lost: bool) -> None:
    theirs = Batch(NEXT, AFTER)
    data, _, after = lines_after(AFTER, {"n": 5})
    ours = Batch(data, after)
    add(log, bytes(len(NEXT)) if lost else NEXT)
    add(log, data)
    end = tail.write_again(END, ours)
    assert end == (END if lost else after)
    assert log.path.read_bytes() == (DATA if lost else DATA + NEXT + data)
    for batch in (theirs, ours):
        if lost:
            with pytest.raises(AuditUnavailable, match="lost this batch"):
                tail.verify_reaches(end, batch)
        else:
            tail.verify_reaches(end, batch)


def test_a_batch_is_there_if_its_last_line_is(log: LockedLog, tail: LogTail) -> None:
    batch = Batch(NEXT, AFTER)
    with pytest.raises(AuditUnavailable, match="cut before this batch"):
        tail.verify_holds(batch)
    other, _, end = lines_after(END, {"n": 3, "text": "x" * 3000}, {"n": 5})
    add(log, other)
    assert end.size == AFTER.size
    with pytest.raises(AuditUnavailable, match="cut before this batch"):
        tail.verify_holds(batch)
    os.pwrite(log.fd, NEXT, END.size)
    tail.verify_holds(batch)
    tail.verify_holds(Batch(b"", EMPTY))  # nothing was promised of it
