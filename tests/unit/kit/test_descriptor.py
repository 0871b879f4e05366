"""Lines arrive whole at a pipe or a file; those that do not are counted, also where the descriptor takes a part."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit.descriptor import PIPE_BYTES, DescriptorOutput, NotWritten


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        with suppress(OSError):
            os.close(fd)


class Written:
    """Replaces os.write: takes as many bytes as it is told, then fails."""

    def __init__(self, takes: list[int]) -> None:
        self.takes, self.data, self.sizes = takes, b"", list[int]()

    def __call__(self, fd: int, data: bytes) -> int:
        self.sizes.append(len(data))
        if not self.takes:
            raise OSError(28, "No space left on device")
        taken = data[: self.takes.pop(0)]
        self.data += taken
        return len(taken)


LINES = st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=40).map(lambda t: t + "\n"))


@given(lines=LINES, takes=st.lists(st.integers(1, 200), max_size=8))
def test_what_is_not_lost_is_there_whole(lines: list[str], takes: list[int]) -> None:
    written = Written(takes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.kit.descriptor.os.write", written)
        output, lost = DescriptorOutput(1), 0
        try:
            output.write(lines)
        except NotWritten as failure:
            lost = failure.lost
        whole = written.data[: written.data.rfind(b"\n") + 1].decode()
        assert whole == "".join(lines[: len(lines) - lost])
        written.takes = [1 << 20] * 9
        output.write(["next\n"])
    assert written.data.decode("utf-8", "replace").split("\n")[-2:] == ["next", ""], "a line that was torn gets its end first"


def test_lines_go_out_in_pieces_that_a_pipe_does_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written([1 << 20] * 1000)
    monkeypatch.setattr("app.kit.descriptor.os.write", written)
    lines = ["x" * (number % 900) + "\n" for number in range(1000)] + ["y" * 3 * PIPE_BYTES + "\n", "z\n"]
    DescriptorOutput(1).write(lines)
    assert written.data.decode() == "".join(lines)
    assert [size for size in written.sizes if size > PIPE_BYTES] == [3 * PIPE_BYTES + 1]


def test_a_pipe_without_a_reader_loses_every_line(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with pytest.raises(NotWritten) as lost:
        DescriptorOutput(pipe[1]).write(["one\n", "two\n"])
    assert (lost.value.lost, lost.value.why) == (2, "Broken pipe")


def test_a_descriptor_that_somebody_made_non_blocking_is_waited_for(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    fcntl.fcntl(writer, fcntl.F_SETFL, fcntl.fcntl(writer, fcntl.F_GETFL) | os.O_NONBLOCK)
    lines = [f"{number}" * 500 + "\n" for number in range(500)]
    thread = threading.Thread(target=DescriptorOutput(writer).write, args=(lines,))
    thread.start()
    received = b""
    while received.count(b"\n") < len(lines):
        received += os.read(reader, 1 << 16)
    thread.join(10)
    assert received.decode() == "".join(lines)


def test_a_full_disk_tears_a_line_and_the_next_one_stands_alone(tmp_path: Path) -> None:
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    fd = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    output = DescriptorOutput(fd)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (25, before[1]))
        with pytest.raises(NotWritten) as lost:
            output.write(["0123456789\n"] * 4)
        assert lost.value.lost == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    output.write(["after\n"])
    os.close(fd)
    assert (tmp_path / "log").read_text() == "0123456789\n0123456789\n012\nafter\n"
