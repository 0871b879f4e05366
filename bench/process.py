"""One server as a tree of processes: start, time, weigh and stop it. Linux only: all figures come from /proc."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server ended or was not ready in time; the message holds its last lines of output."""


class Process:
    """A running command in its own process group, so that Ctrl-C does not reach it directly."""

    def __init__(self, name: str, command: list[str], *, cwd: Path, env: dict[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self.started = time.perf_counter()
        with log.open("ab") as output:
            self._popen = subprocess.Popen(
                command,
                cwd=cwd,
                env=clean_environment() | env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_ready(self, port: int, path: str, timeout: float) -> float:
        """Seconds from start to the first 200 for *path*. Raises ServerFailed."""
        while time.perf_counter() < self.started + timeout:
            if self._popen.poll() is not None:
                raise ServerFailed(f"{self.name} ended with {self._popen.returncode}:\n{self.last_words()}")
            if _answers(port, path):
                return time.perf_counter() - self.started
            time.sleep(0.01)
        raise ServerFailed(f"{self.name} was not ready in {timeout:.0f} s:\n{self.last_words()}")

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def cpu_seconds(self) -> float:
        """User and system time of the whole tree so far, including children that have ended."""
        return sum(_cpu_seconds(pid) for pid in self._tree())

    def pss_bytes(self) -> int:
        """Proportional set size of the whole tree: shared pages count once."""
        return sum(_kilobytes(pid, "smaps_rollup", "Pss:") for pid in self._tree()) * 1024

    def largest_rss_bytes(self) -> int:
        """Resident set of the largest process of the tree, usually the worker."""
        return max(_kilobytes(pid, "status", "VmRSS:") for pid in self._tree()) * 1024

    def stop(self) -> None:
        """SIGTERM to the group; after 10 s SIGKILL to the rest."""
        for number, timeout in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout)

    def _tree(self) -> list[int]:
        parents = {pid: _parent(pid) for pid in _pids()}
        tree = [self._popen.pid]
        for pid in tree:  # grows while it is walked
            tree += [child for child, parent in parents.items() if parent == pid]
        return tree


@contextlib.contextmanager
def running(process: Process) -> Iterator[Process]:
    """Run the process for the length of the block."""
    try:
        yield process
    finally:
        process.stop()


def clean_environment() -> dict[str, str]:
    """An environment without the settings of the caller's shell."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int) -> list[str]:
    """The fields of `stat` from the third (state) on (proc(5)); empty if the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS  # utime, stime, cutime, cstime


def _kilobytes(pid: int, file: str, label: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(label)), 0)
