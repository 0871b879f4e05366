"""Lines are written in order by a thread; an output that hangs or fails holds up nobody, and every loss is counted."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from app.kit import line_writer
from app.kit.descriptor import NotWritten
from app.kit.line_writer import HANGS, MAX_LINE_CHARS, LineWriter

from ...support.paths import ROOT
from ...support.waiting import eventually


class Paper:
    """An output that hangs while it may not go on, and fails while it has an error."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.why = ""
        self.failing_from = 0
        self.is_writing = self.is_closed = False

    def write(self, lines: list[str]) -> None:
        self.is_writing = True
        assert self.may_go_on.wait(30)
        if self.why:
            self.lines += lines[: self.failing_from]
            raise NotWritten(len(lines[self.failing_from :]), self.why)
        self.lines += lines

    def close(self) -> None:
        self.is_closed = True


class Desk:
    """A writer over a paper, with what it tells."""

    def __init__(self) -> None:
        self.papers = [Paper()]
        self.lost: list[int] = []
        self.troubles: list[str] = []
        self.writer = LineWriter(lambda: self.papers[-1], lambda count: f"{count} lost\n", self.troubles.append)
        self.writer.count_losses(self.lost.append)

    @property
    def paper(self) -> Paper:
        return self.papers[-1]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(line_writer, "MAX_WAITING_CHARS", 100)
    one = Desk()
    yield one
    for paper in one.papers:
        paper.may_go_on.set()
    one.writer.close(10)


def test_lines_are_written_in_order_and_flushed_at_the_end(desk: Desk) -> None:
    for number in range(50):
        desk.writer.put(f"{number}\n")
        if number % 20 == 0:
            assert desk.writer.flush(10)
    assert desk.writer.close(10)
    assert desk.paper.lines == [f"{number}\n" for number in range(50)]
    assert (desk.paper.is_closed, desk.lost, desk.troubles) == (True, [], [])


def test_a_hung_output_holds_up_nobody_and_says_what_it_lost(desk: Desk) -> None:
    desk.paper.may_go_on.clear()
    for number in range(30):  # ten of ten characters fit
        desk.writer.put(f"line {number:04}\n")
    assert not desk.writer.flush(0.01)
    assert (sum(desk.lost), desk.troubles) == (20, [HANGS])
    desk.paper.may_go_on.set()
    assert desk.writer.flush(10)
    desk.writer.put("after\n")
    assert desk.writer.flush(10)
    assert desk.paper.lines == [*(f"line {number:04}\n" for number in range(10)), "20 lost\n", "after\n"]


def test_what_was_lost_is_said_although_no_line_follows(desk: Desk) -> None:
    desk.paper.may_go_on.clear()
    for number in range(11):
        desk.writer.put(f"line {number:04}\n")
    desk.paper.may_go_on.set()
    assert desk.writer.close(10)
    assert desk.paper.lines[-1] == "1 lost\n"


def test_what_was_lost_is_said_also_where_somebody_waits_for_the_last_line(desk: Desk) -> None:
    desk.paper.may_go_on.clear()
    desk.writer.put(99 * "x" + "\n")
    eventually(lambda: desk.paper.is_writing, "the line is being written")
    desk.writer.put("lost\n")
    assert not desk.writer.flush(0.01)
    desk.paper.may_go_on.set()
    assert desk.writer.flush(10)
    assert desk.paper.lines[1:] == ["1 lost\n"]


def test_lines_that_an_output_refuses_are_lost_and_each_counted_once(desk: Desk) -> None:
    desk.paper.why = "No space left on device"
    for number in range(3):
        desk.writer.put(f"{number}\n")
        assert desk.writer.flush(10)
    desk.paper.failing_from = 1  # of the two lines that wait then, the first is written: what was lost before
    desk.writer.put("3\n")
    assert desk.writer.flush(10)
    assert (sum(desk.lost), desk.troubles) == (4, ["No space left on device"])
    desk.paper.why = ""
    desk.writer.put("4\n")
    assert desk.writer.close(10)
    assert desk.paper.lines == ["3 lost\n", "1 lost\n", "4\n"]


def test_a_new_trouble_is_told_again(desk: Desk) -> None:
    for why in ("one", "", "two"):
        desk.paper.why = why
        desk.writer.put("x\n")
        assert desk.writer.flush(10)
    assert desk.troubles == ["one", "two"]


def test_what_follows_a_reopening_goes_to_the_new_output_at_once(desk: Desk) -> None:
    old = desk.paper
    old.may_go_on.clear()
    desk.writer.put("old\n")
    eventually(lambda: old.is_writing)
    desk.papers.append(Paper())
    desk.writer.reopen()
    desk.writer.put("new\n")
    assert desk.writer.flush(10)
    assert (old.lines, desk.paper.lines) == ([], ["new\n"])
    old.may_go_on.set()
    eventually(lambda: old.is_closed)
    assert old.lines == ["old\n"]


def test_reopening_again_and_again_makes_no_endless_threads(desk: Desk) -> None:
    desk.paper.may_go_on.clear()
    before = threading.active_count()
    for _ in range(50):
        desk.writer.put("x\n")
        desk.writer.reopen()
    assert threading.active_count() - before <= line_writer.MAX_HUNG_THREADS + 1


def test_a_line_without_end_is_cut(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_writer, "MAX_WAITING_CHARS", 1 << 20)
    desk.writer.put("x" * 10 * MAX_LINE_CHARS + "\n")
    assert desk.writer.close(10)
    [line] = desk.paper.lines
    assert (len(line), line[-3:]) == (MAX_LINE_CHARS, "x…\n")


FORK = """
import os, sys, time
from app.kit.descriptor import DescriptorOutput
from app.kit.line_writer import LineWriter
from app.kit.process import fork
writer = LineWriter(lambda: DescriptorOutput(1), lambda count: f"{count} lost\\n")
def work():
    writer.put("child\\n")
    return 0 if writer.close(10) else 9
for number in range(20):
    writer.put(f"parent {number}\\n")
    assert os.waitstatus_to_exitcode(os.waitpid(fork(work), 0)[1]) == 0
assert writer.close(10)
"""


@pytest.mark.slow
def test_a_forked_child_has_its_own_thread_and_repeats_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted([f"parent {number}" for number in range(20)] + ["child"] * 20)


def test_a_process_ends_while_its_output_hangs() -> None:
    code = (
        FORK.split("def work")[0]
        + "[writer.put('x' * 1000 + '\\n') for _ in range(500)]; sys.exit(0 if not writer.close(0.2) else 1)"
    )
    reader, full = os.pipe()
    try:
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=full, timeout=30).returncode == 0
    finally:
        os.close(reader)
        os.close(full)
