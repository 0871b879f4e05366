"""The supervisor restarts, gives up and stops; its children here are small real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread, Timer

import pytest

from app.kit.process import EXIT_CONFIG
from app.serving.child import ReadyFlag
from app.serving.supervisor import Supervisor

from ...support.paths import ROOT


def python(code: str) -> Callable[[], int]:
    """Starts a process that only the supervisor waits for: a Popen that is dropped would be reaped by the next one."""
    return lambda: os.posix_spawn(sys.executable, [sys.executable, "-c", code], os.environ)


RUN = """
import os, signal, sys
from app.serving.supervisor import Supervisor
out = open(sys.argv[1], "a", buffering=1)
def start(name, code):
    def work():
        out.write(f"start {name}\\n")
        return os.posix_spawn(sys.executable, [sys.executable, "-c", code.replace("OUT", repr(sys.argv[1]))], os.environ)
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


@pytest.fixture(autouse=True)
def handlers_are_put_back() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("code", "status"), [(f"raise SystemExit({EXIT_CONFIG})", EXIT_CONFIG), ("1 / 0", 1), ("", 1), ("import os; os.abort()", 1)]
)
def test_a_child_that_ends_before_it_was_ready_ends_the_service(code: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor(grace_seconds=1)
    supervisor.add("good", python("import time; time.sleep(60)"))
    supervisor.add("bad", python(code), ready=ReadyFlag())
    assert supervisor.run() == status
    assert sum("bad could not start" in record.getMessage() for record in caplog.records) == 1


def test_a_child_that_is_killed_before_it_was_ready_is_started_again() -> None:
    ready, starts = ReadyFlag(), list[int]()

    def start() -> int:
        starts.append(1)
        if len(starts) == 1:
            return python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")()
        ready.set()
        return python("import time; time.sleep(60)")()

    supervisor = Supervisor(grace_seconds=1, on_ready=lambda: os.kill(os.getpid(), signal.SIGTERM))
    supervisor.add("worker", start, ready=ready)
    assert (supervisor.run(), len(starts)) == (0, 2)


@pytest.mark.slow
def test_a_child_that_was_ready_once_is_restarted_for_ever(tmp_path: Path) -> None:
    ready, starts, said = ReadyFlag(), list[int](), list[int]()

    def start() -> int:
        starts.append(1)
        if len(starts) == 1:
            ready.set()
        if len(starts) == 4:
            os.kill(os.getpid(), signal.SIGTERM)
        return python("raise SystemExit(2)")()

    supervisor = Supervisor(grace_seconds=1, on_ready=lambda: said.append(1))
    supervisor.add("worker", start, ready=ready)
    assert (supervisor.run(), len(starts), said) == (0, 4, [1])


def test_a_signal_to_the_whole_group_is_a_stop_and_no_crash(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The child is dead before the parent has heard of the signal."""

    def start() -> int:
        pid = python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")()
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        Timer(0.09, os.kill, (os.getpid(), signal.SIGTERM)).start()
        return pid

    supervisor = Supervisor(grace_seconds=1)
    supervisor.add("worker", start)
    with caplog.at_level("INFO"):
        assert supervisor.run() == 0
    assert [record.getMessage() for record in caplog.records] == ["Stopping: what is in flight is finished first."]


def test_a_hangup_is_passed_on_and_again_after_a_reload(tmp_path: Path) -> None:
    out, ready, reloads = tmp_path / "out", ReadyFlag(), list[int]()
    out.touch()
    code = (
        "import signal\nsignal.signal(signal.SIGHUP, lambda *_: open(OUT, 'a').write('heard '))\n"
        "open(OUT, 'a').write('up ')\nwhile True: signal.pause()"
    )

    def look() -> None:
        if out.read_text() == "up " and not ready.is_set:
            ready.set()
            os.kill(os.getpid(), signal.SIGHUP)
        if out.read_text().count("heard") == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    def reload() -> int:
        reloads.append(1)
        wait = f"import time\nwhile open({str(out)!r}).read().count('heard') < 1: time.sleep(0.01)"
        return python(wait)()

    supervisor = Supervisor(grace_seconds=5)
    supervisor.add("worker", python(code.replace("OUT", repr(str(out)))), ready=ready)
    supervisor.add("model", python("import time; time.sleep(60)"))  # a hang-up would end it
    supervisor.on_hangup(reload)
    with ticking(look):
        assert supervisor.run() == 0
    assert (out.read_text(), reloads) == ("up heard heard ", [1])


@contextmanager
def ticking(look: Callable[[], None]) -> Iterator[None]:
    """Call *look* twenty times a second, in a thread."""
    over = Event()

    def run() -> None:
        while not over.wait(0.05):
            look()

    thread = Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
