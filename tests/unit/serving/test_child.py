"""One child of the supervisor: a small real process that ends, or says that it is ready."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable

import pytest

from app.serving.child import FIRST_PAUSE_SECONDS, SHORT_LIFE_SECONDS, Child, ReadyFlag


def python(code: str) -> Callable[[], int]:
    """Starts a process that only the child waits for: a Popen reaps its own once it is dropped."""
    return lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)


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
    child = Child(python(""), last=False, ready=ReadyFlag())
    pauses = []
    for _ in range(6):
        child.run()
        reaped(child)
        pauses.append(child.pause)
        assert not child.is_due()
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert not child.has_settled


def test_a_child_that_lived_long_is_restarted_after_a_short_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(python(""), last=False)
    child.run()
    now = time.monotonic()
    monkeypatch.setattr("app.serving.child.time.monotonic", lambda: now + SHORT_LIFE_SECONDS + 1)
    pid, status = os.waitpid(child.pid, 0)
    monkeypatch.setattr("app.serving.child.os.waitpid", lambda *_: (pid, status))
    assert child.reap() == 0
    assert (child.pause, child.is_due()) == (FIRST_PAUSE_SECONDS, False)


def test_a_child_has_settled_once_it_has_said_that_it_is_ready() -> None:
    ready = ReadyFlag()
    child = Child(python("import time; time.sleep(60)"), last=False, ready=ready)
    child.run()
    assert (child.has_settled, child.is_ready) == (False, False)
    ready.set()  # as the child does after a fork
    assert (child.has_settled, child.is_ready) == (True, True)
    child.send(signal.SIGKILL)
    assert reaped(child) == -signal.SIGKILL
    assert (child.has_settled, child.is_ready, child.cause) == (True, False, "signal SIGKILL")
    child.run()
    assert (child.has_settled, child.is_ready) == (True, False), "not ready again yet"
    child.send(signal.SIGKILL)
    reaped(child)


def test_a_child_without_a_flag_counts_as_ready_from_its_start() -> None:
    child = Child(python(""), last=False)
    assert not child.has_settled
    child.run()
    reaped(child)
    assert child.has_settled
