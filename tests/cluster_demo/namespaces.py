"""Network namespaces for the nodes. All of them, and every process, end with the first process inside."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..support.nodes import Place
from ..support.waiting import eventually

SHARED = "10.77.0.1"
"""The address of the servers. No other machine sees it: the namespace that has it is joined to nothing."""
TRIAL = "ip link set lo up && ip link add trial type veth peer name trial2"


def unshared() -> tuple[list[str], str]:
    """The words that run a command in namespaces of its own; or none, and why."""
    for program in ("unshare", "nsenter", "ip"):
        if shutil.which(program) is None:
            return [], f"there is no `{program}` (Debian: util-linux, iproute2)"
    own = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    words = ["unshare", *own, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    tried = subprocess.run([*words, "sh", "-c", TRIAL], capture_output=True, text=True)
    return (words, "") if tried.returncode == 0 else ([], tried.stderr.strip().splitlines()[-1])


@contextmanager
def places(count: int) -> Iterator[list[Place]]:
    """Inside: one namespace for each node, joined with this one by a cable of its own."""
    with ExitStack() as opened:
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "address", "add", f"{SHARED}/32", "dev", "lo")
        yield [_place(number, opened) for number in range(1, count + 1)]


def _place(number: int, opened: ExitStack) -> Place:
    holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    opened.callback(_end, holder)
    eventually(lambda: _net(holder.pid) != _net("self"))
    ours, theirs, here, there = f"node{number}", f"eth{number}", f"10.77.{number}.1", f"10.77.{number}.2"
    _run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs, "netns", str(holder.pid))
    _run("ip", "address", "add", f"{here}/30", "dev", ours)
    _run("ip", "link", "set", ours, "up")
    inside = ("nsenter", f"--net=/proc/{holder.pid}/ns/net", "--")
    _run(*inside, "ip", "address", "add", f"{there}/30", "dev", theirs)
    for link in ("lo", theirs):
        _run(*inside, "ip", "link", "set", link, "up")
    _run(*inside, "ip", "route", "add", "default", "via", here)
    return Place(there, inside)


def _net(process: int | str) -> str:
    return str(Path(f"/proc/{process}/ns/net").readlink())


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


def _run(*words: str) -> None:
    subprocess.run(words, check=True)
