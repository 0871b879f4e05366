"""Child processes end as they say, and with their parent."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ...support.paths import ROOT

PREAMBLE = "import os, signal, sys, time\nfrom app.errors import ConfigError\nfrom app.kit.process import *\n"


def run(code: str) -> subprocess.CompletedProcess[str]:
    """In an interpreter of its own: the tests' own process must not fork."""
    return subprocess.run([sys.executable, "-c", PREAMBLE + code], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("work", "status"),
    [
        ("lambda: 0", 0),
        ("lambda: 7", 7),
        ("lambda: sys.exit(5)", 5),
        ("lambda: sys.exit('why')", 1),
        ("lambda: 1 / 0", 1),
        ("lambda: (_ for _ in ()).throw(ConfigError('it is wrong'))", 2),
    ],
)
def test_a_fork_ends_with_the_status_of_its_work(work: str, status: int) -> None:
    done = run(f"print(os.waitstatus_to_exitcode(os.waitpid(fork({work}), 0)[1]))")
    assert done.stdout == f"{status}\n", done.stderr


def test_a_configuration_error_is_one_sentence_and_a_crash_a_stack_trace() -> None:
    raising = "def work(): raise {}\nos.waitpid(fork(work), 0)"
    assert run(raising.format("ConfigError('it is wrong')")).stderr == "it is wrong\n"
    assert "ZeroDivisionError" in run(raising.format("ZeroDivisionError")).stderr


def test_an_answer_of_a_child_is_returned_and_its_failure_ends_the_parent() -> None:
    assert run("print(len(ask_child(lambda: b'x' * 1_000_000)))").stdout == "1000000\n"
    assert run("ask_child(lambda: 1 / 0)").returncode == 1
    assert run("def work(): raise ConfigError('no')\nask_child(work)").returncode == 2


def test_a_child_dies_with_its_parent_however_that_dies(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    run(
        f"def work():\n open('{pid_file}.new', 'w').write(str(os.getpid()))\n"
        f" os.rename('{pid_file}.new', '{pid_file}')\n time.sleep(60)\n return 0\n"
        f"fork(work)\nwhile not os.path.exists({str(pid_file)!r}): time.sleep(0.01)\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    status = Path(f"/proc/{pid_file.read_text()}/stat")
    end = time.monotonic() + 20
    while time.monotonic() < end and status.exists() and ") Z" not in status.read_text():
        time.sleep(0.02)
    assert not status.exists() or ") Z" in status.read_text()


def test_a_process_is_shown_by_its_name() -> None:
    assert run("show_as('notary'); print(open('/proc/self/comm').read().strip())").stdout == "notary\n"


def test_a_spawned_program_has_no_signal_blocked() -> None:
    code = (
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "pid = spawn([sys.executable, '-c', 'import signal; exit(len(signal.pthread_sigmask(signal.SIG_BLOCK, [])))'], {})\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    )
    assert run(code).stdout == "0\n"


def test_private_memory_holds_in_forked_children_and_leaves_no_core_file() -> None:
    code = (
        "import ctypes, resource\n"
        "def state(): return ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE)\n"
        "assert state()[0] == 1\nkeep_memory_private()\nprint(state())\n"
        "def work():\n print(state(), flush=True)\n return 0\n"
        "os.waitpid(fork(work), 0)\nshow_as('private')\nprint(open('/proc/self/comm').read().strip())"
    )
    assert sorted(set(run(code).stdout.splitlines())) == ["(0, (0, 0))", "private"]


def test_every_program_of_the_service_keeps_its_memory_private() -> None:
    """Each new interpreter must say it again: the parent, the embedded model, every command."""
    for name in ("app/serving/parent.py", "app/upstream/embedded.py", "app/cli/main.py"):
        assert "    keep_memory_private()\n" in (ROOT / name).read_text(), name


def test_a_signal_stops_also_while_the_lock_of_the_event_is_held() -> None:
    held = "stop = stopped_by(signal.SIGTERM)\nwith stop._cond: os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.1)\n"
    done = run(held + "print(stop.wait(30))")
    assert done.stdout == "True\n", done.stderr
