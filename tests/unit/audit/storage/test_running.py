"""A service in use of a log is seen by other processes, however it ends."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.audit.storage.running import is_running, marked_running

from ....support.paths import ROOT
from ....support.pipes import pipe_without_writer

HOLD = """
import sys
from pathlib import Path
from app.audit.storage.running import marked_running
with marked_running(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def test_a_log_is_in_use_until_the_last_process_is_done(log: Path) -> None:
    assert not is_running(log)
    with marked_running(log):
        with marked_running(log):
            assert is_running(log)
        assert is_running(log)
    assert not is_running(log)
    assert not is_running(log), "asking holds nothing"


def test_a_killed_service_does_not_leave_the_log_in_use(log: Path) -> None:
    service = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(log)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert service.stdout is not None
    assert service.stdout.readline() == "held\n"
    assert is_running(log)
    service.send_signal(signal.SIGKILL)
    service.communicate()
    assert not is_running(log)


def test_another_name_of_the_log_is_the_same_log(log: Path, tmp_path: Path) -> None:
    (tmp_path / "link.jsonl").symlink_to(log)
    with marked_running(tmp_path / "link.jsonl"):
        assert is_running(log)


def test_a_pipe_in_place_of_the_mark_holds_nobody_up(log: Path) -> None:
    with marked_running(log) as mark, pipe_without_writer(log.with_name("log.jsonl.running")):
        assert mark.renew()
        assert is_running(log)


def test_a_service_that_cannot_lock_goes_on_and_says_so(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), marked_running(log.parent / "missing" / "log.jsonl"):
        pass
    assert "cannot be locked" in caplog.text


@pytest.mark.parametrize("is_replaced", [False, True])
def test_a_mark_whose_file_was_taken_away_is_renewed(log: Path, is_replaced: bool) -> None:
    with marked_running(log) as mark:
        assert not mark.renew()
        (log.parent / "log.jsonl.running").unlink()
        if is_replaced:
            (log.parent / "log.jsonl.running").touch()
        assert not is_running(log)
        assert mark.renew()
        assert is_running(log)
        assert not mark.renew()
    assert not is_running(log)
