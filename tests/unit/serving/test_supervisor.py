"""The supervisor restarts, gives up and stops; its children here are small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.kit.process import EXIT_CONFIG
from app.serving.supervisor import SETTLED_SECONDS, Child, Supervisor

from ...support.paths import ROOT


def python(code: str) -> Callable[[], int]:
    return lambda: subprocess.Popen([sys.executable, "-c", code]).pid


def reaped(child: Child, seconds: float = 20) -> int:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status = child.reap()
        if status is not None:
            return status
        time.sleep(0.01)
    raise AssertionError("it did not end")


@pytest.mark.parametrize(
    ("code", "status"), [("", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL)]
)
def test_a_child_reports_its_exit_status_once(code: str, status: int) -> None:
    child = Child(python(code), last=False)
    child.run()
    assert reaped(child) == status
    assert (child.pid, child.reap()) == (0, None)


def test_a_child_that_keeps_dying_waits_longer_each_time() -> None:
    child = Child(python(""), last=False)
    pauses = []
    for _ in range(6):
        child.run()
        reaped(child)
        pauses.append(child.pause)
        assert not child.is_due()
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert not child.has_settled


def test_a_child_that_lived_long_enough_is_restarted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(python(""), last=False)
    child.run()
    now = time.monotonic()
    monkeypatch.setattr("app.serving.supervisor.time.monotonic", lambda: now + SETTLED_SECONDS + 1)
    pid, status = os.waitpid(child.pid, 0)
    monkeypatch.setattr("app.serving.supervisor.os.waitpid", lambda *_: (pid, status))
    assert child.reap() == 0
    assert (child.has_settled, child.pause) == (True, 0.0)
    assert child.is_due()


RUN = """
import os, signal, subprocess, sys, time
from app.serving.supervisor import Supervisor
out = open(sys.argv[1], "a", buffering=1)
def start(name, code):
    def work():
        out.write(f"start {name}\\n")
        return subprocess.Popen([sys.executable, "-c", code.replace("OUT", repr(sys.argv[1]))]).pid
    return work
POLITE = '''
import signal, sys
def stop(*_):
    open(OUT, "a").write("stopped NAME\\\\n"); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
open(OUT, "a").write("ready NAME\\\\n")
while True: signal.pause()
'''
one = Supervisor(grace_seconds=5)
one.add("late", start("late", POLITE.replace("NAME", "late")), last=True)
one.add("first", start("first", POLITE.replace("NAME", "first")))
sys.exit(one.run())
"""


def test_sigterm_stops_the_last_children_after_all_others(tmp_path: Path) -> None:
    out = tmp_path / "out"
    parent = subprocess.Popen([sys.executable, "-c", RUN, str(out)], cwd=ROOT)
    end = time.monotonic() + 30
    while time.monotonic() < end and not (out.exists() and out.read_text().count("ready") == 2):
        time.sleep(0.02)
    parent.send_signal(signal.SIGTERM)
    assert parent.wait(30) == 0
    assert [line for line in out.read_text().splitlines() if line.startswith("stopped")] == ["stopped first", "stopped late"]


def test_a_child_that_cannot_start_as_configured_ends_the_service() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    supervisor = Supervisor(grace_seconds=1)
    supervisor.add("bad", python(f"raise SystemExit({EXIT_CONFIG})"))
    try:
        assert supervisor.run() == EXIT_CONFIG
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
