"""The security log: the form of its lines, what input can do to them, and what its failure does to a request."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.security.security_log import SecurityLog, _encoded

from ...support.paths import ROOT
from ...support.waiting import eventually

LINE = re.compile(r'(\S+) ([A-Z]+) ([a-z_]+)((?: [a-z_]+=(?:[A-Za-z0-9_.:/@+-]+|"[ -~]*"))*)\n')


def test_an_event_is_one_line_with_time_level_name_and_fields(tmp_path: Path) -> None:
    log = SecurityLog(tmp_path / "security.log")
    before = datetime.now(UTC)
    log.event("token_issued", user_id="alice", address=None, count=7)
    log.event("log_lost", level="ERROR", detail="The disk is full.")
    log.close()
    first, second = (tmp_path / "security.log").read_text().splitlines(keepends=True)
    match = LINE.fullmatch(first)
    assert match is not None
    assert match.group(2, 3, 4) == ("INFO", "token_issued", " user_id=alice count=7")
    assert before <= datetime.fromisoformat(match[1]) <= datetime.now(UTC)
    assert second.endswith(' ERROR log_lost detail="The disk is full."\n')


@given(value=st.text() | st.binary() | st.integers() | st.none())
def test_no_value_begins_a_line_or_a_key_of_its_own(value: object) -> None:
    word = _encoded(value)
    assert LINE.fullmatch(f"2026-01-01T00:00:00Z INFO event key={word}\n")
    assert len(word) <= 2 + 200 * 12, "200 characters, each at most a pair of escapes"


def test_a_value_that_looks_like_a_field_is_quoted(tmp_path: Path) -> None:
    log = SecurityLog(tmp_path / "security.log")
    log.event("refused", user_id='a" INFO x=1\ny', route="", path="/ask")
    log.close()
    assert (tmp_path / "security.log").read_text().endswith('refused user_id="a\\" INFO x=1\\ny" route="" path=/ask\n')


def test_a_rotated_file_is_left_alone_and_a_new_one_begun(tmp_path: Path) -> None:
    log, path = SecurityLog(tmp_path / "security.log"), tmp_path / "security.log"
    log.event("first")
    assert log.flush()
    path.rename(tmp_path / "security.log.1")
    log.event("second")
    log.close()
    assert (tmp_path / "security.log.1").read_text().count("\n") == 1
    assert path.read_text().endswith(" INFO second\n")


def test_a_log_that_cannot_be_written_fails_nothing_and_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = SecurityLog(folder / "security.log")
    log.event("kept")
    assert log.flush()
    (folder / "security.log").unlink()
    folder.rmdir()
    folder.write_text("no folder any more")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            log.event("lost")
            log.flush()
    assert [record.getMessage() for record in caplog.records] == [
        f"The security log {folder / 'security.log'} cannot be written: Not a directory. Events are lost until it can."
    ]
    folder.unlink()
    folder.mkdir()
    log.event("back")
    log.close()
    lines = [line.split(" ", 1)[1] for line in (folder / "security.log").read_text().splitlines()]
    assert lines == ["WARNING events_lost count=3", "INFO back"]


def test_a_pipe_without_a_reader_holds_up_nobody_until_it_is_reopened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "security.log"
    os.mkfifo(path)
    log, lost = SecurityLog(path), list[int]()
    log.count_losses(lost.append)
    with caplog.at_level(logging.WARNING):
        for number in range(20_000):
            log.event("token_issued", number=number, padding="x" * 100)
    assert 0 < sum(lost) < 20_000
    assert [record.getMessage() for record in caplog.records] == [
        f"The security log {path} cannot be written: it takes no more lines. Events are lost until it can."
    ]
    stuck = path.rename(tmp_path / "stuck")
    log.reopen()
    log.event("after")
    log.close()
    with stuck.open() as reader:  # so that the thread that hangs there goes on
        late = reader.readlines()
    eventually(lambda: not any(thread.name == "lines" for thread in threading.enumerate()))
    lines = [line.split(" ", 1)[1] for line in path.read_text().splitlines()]
    assert [line for line in lines if "token_issued" not in line] == [f"WARNING events_lost count={sum(lost)}", "INFO after"]
    assert len(late) + len(lines) - 2 + sum(lost) == 20_000


@pytest.mark.slow
def test_a_process_whose_security_log_hangs_can_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "security.log")
    code = "import sys; from pathlib import Path; from app.security.security_log import SecurityLog\n"
    code += "log = SecurityLog(Path(sys.argv[1])); log.event('one'); log.close()"
    command = [sys.executable, "-c", code, str(tmp_path / "security.log")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert (done.returncode, "it takes no more lines" in done.stderr) == (0, True), done.stderr
