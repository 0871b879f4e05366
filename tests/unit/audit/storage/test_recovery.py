"""The end of a log's file: found behind a torn tail, refused where it is no record, and the tail set aside."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.record import EMPTY, MAX_LINE_BYTES, LogEnd
from app.audit.storage import recovery
from app.audit.storage.recovery import (
    BLOCK,
    end_of_chain,
    end_of_last_line,
    end_of_lines,
    end_of_records,
    free_name,
    make_durable,
    set_aside,
)
from app.errors import AuditCorrupt

from ....support.replaced_os import RealOs, replaced_os
from ....support.stored_log import lines_after

DATA, _, END = lines_after(EMPTY, *({"n": n, "text": "x" * 900} for n in range(20)))
LINES = DATA.splitlines(keepends=True)
TAILS = {"nothing": b"", "half a record": LINES[3][:200], "zeros": bytes(5000), "a newline": b"\n", "an old record": LINES[3]}


def end_after(count: int) -> LogEnd:
    return end_of_lines(b"".join(LINES[:count]), EMPTY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit_log.jsonl"


@pytest.fixture
def fd_of(path: Path) -> Iterator[Callable[[bytes], int]]:
    fds: list[int] = []

    def open_with(data: bytes) -> int:
        path.write_bytes(data)
        fds.append(os.open(path, os.O_RDWR))
        return fds[-1]

    yield open_with
    for fd in fds:
        os.close(fd)


# --- after a durable end -------------------------------------------------------------------------


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
@pytest.mark.parametrize("piece", [MAX_LINE_BYTES, 2000])
@pytest.mark.parametrize("known", [0, 1, 20])
def test_whole_records_are_followed_up_to_a_torn_tail(
    fd_of: Callable[[bytes], int], tail: bytes, piece: int, known: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PIECE", piece)
    fd = fd_of(DATA + tail)
    assert end_of_records(fd, end_after(known), len(DATA + tail)) == END
    assert make_durable(fd, end_after(known), len(DATA + tail)) == END
    assert os.pread(fd, 1 << 20, 0) == DATA + tail


def test_records_past_the_durable_end_are_written_again_before_the_sync(fd_of: Callable[[bytes], int]) -> None:
    """From the beginning of the block that the durable end is in: its page may be clean, and lost."""
    calls: list[tuple[int, int] | str] = []

    class Watching(RealOs):
        def pwrite(self, fd: int, data: Any, offset: int) -> int:
            calls.append((offset, offset + len(data)))
            return os.pwrite(fd, data, offset)

        def fdatasync(self, fd: int) -> None:
            calls.append("sync")

    fd, known = fd_of(DATA), end_after(7)
    with replaced_os(Watching()):
        make_durable(fd, known, len(DATA))
    assert calls == [(known.size // BLOCK * BLOCK, known.size), (known.size, END.size), "sync"]


def test_a_record_that_follows_another_end_ends_the_log() -> None:
    assert end_of_lines(b"".join(LINES[5:]), end_after(4)) == end_after(4)
    assert end_of_lines(b"".join([*LINES[4:6], *LINES[7:]]), end_after(4)) == end_after(6)


# --- without a mark ------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [b"", LINES[3][:200], bytes(5000)], ids=["nothing", "half a record", "zeros"])
def test_the_last_whole_line_is_the_end(fd_of: Callable[[bytes], int], path: Path, tail: bytes) -> None:
    fd = fd_of(DATA + tail)
    assert end_of_last_line(fd, len(DATA + tail), path) == END
    assert end_of_chain(fd, len(DATA + tail), path) == END


def test_the_first_line_may_be_the_last(fd_of: Callable[[bytes], int], path: Path) -> None:
    assert end_of_chain(fd_of(LINES[0]), len(LINES[0]), path) == end_after(1)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\n", b"garbage\n", DATA + b"\n", DATA[:-100] + b"y" + DATA[-99:], bytes(200_000), b"x" * 200_000],
    ids=["empty", "torn", "a newline", "garbage", "an empty line", "an edited line", "zeros", "no newline"],
)
def test_a_last_line_that_is_no_record_is_refused(fd_of: Callable[[bytes], int], path: Path, data: bytes) -> None:
    fd = fd_of(data)
    for find in (end_of_last_line, end_of_chain):
        with pytest.raises(AuditCorrupt, match=r"last line .+ is not a record.+--new-log"):
            find(fd, len(data), path)


@pytest.mark.parametrize("piece", [8 << 20, 5000])
def test_a_hole_before_the_last_line_is_refused_within_the_last_piece(
    fd_of: Callable[[bytes], int], path: Path, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PIECE", piece)
    assert end_of_chain(fd_of(DATA), len(DATA), path) == END
    hole = len(DATA) - 3000
    fd = fd_of(DATA[:hole] + bytes(512) + DATA[hole + 512 :])
    with pytest.raises(AuditCorrupt, match="does not chain"):
        end_of_chain(fd, len(DATA), path)


# --- a torn tail ---------------------------------------------------------------------------------


def test_a_torn_tail_is_copied_durably_and_the_log_stays_as_it_is(
    fd_of: Callable[[bytes], int], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "PIECE", 64)
    torn = b"torn" * 100
    synced: list[Path] = []

    class Watching(RealOs):
        def fsync(self, fd: int) -> None:
            synced.append(Path(f"/proc/self/fd/{fd}").readlink())

    fd = fd_of(DATA + torn)
    with replaced_os(Watching()):
        found = set_aside(fd, END, len(DATA + torn), path)
    copy = path.with_name(found.kept_as)
    assert (found.size, found.sha256) == (400, hashlib.sha256(torn).hexdigest())
    assert copy.read_bytes() == torn
    assert synced == [copy, path.parent]
    assert path.read_bytes() == DATA + torn


def test_a_file_beside_the_log_is_named_by_what_it_is_and_the_time(path: Path) -> None:
    assert re.fullmatch(r"audit_log\.retired\.\d{8}T\d{12}Z\.jsonl", free_name(path, "retired"))
