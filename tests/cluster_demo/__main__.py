"""`python -m tests.cluster_demo`: prints a table; the last line is the verdict, and 1 the exit status if a row failed."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

from ..support.nodes import Place
from ..support.paths import ROOT
from .namespaces import SHARED, places, unshared
from .rows import Table
from .story import tell

MOST_SECONDS = 280
BEGINS = """Two nodes become one service: each with an address of its own, over a PostgreSQL with a standby and a Valkey.
All of it is real, and on this machine. It takes a minute or two and leaves nothing behind. Each row is a promise, and
what was seen of it.
"""
INSIDE, LOOPBACK = "--inside", "--loopback"
LOOPBACKS = [Place("127.0.0.11"), Place("127.0.0.12")]


class TookTooLong(BaseException):
    """Past every `except`: what runs is ended."""


def main(words: list[str]) -> int:
    if INSIDE not in words and LOOPBACK not in words:
        before, why = unshared()
        if before:
            return subprocess.run([*before, sys.executable, "-m", "tests.cluster_demo", INSIDE], cwd=ROOT).returncode
        print(f"Network namespaces are not permitted here ({why}): the nodes have loopback addresses instead.\n")
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(MOST_SECONDS)
    print(BEGINS, flush=True)
    began, table = time.monotonic(), Table()
    try:
        with tempfile.TemporaryDirectory(prefix="cluster-demo-") as folder:
            Path(folder).chmod(0o711)  # PostgreSQL runs as another user
            with places(2) if INSIDE in words else nullcontext(LOOPBACKS) as where:
                tell(Path(folder), where, SHARED if INSIDE in words else "127.0.0.1", table)
    except TookTooLong:
        table.fail("time", f"not done after {MOST_SECONDS} s")
    finally:
        signal.alarm(0)
    return table.verdict(time.monotonic() - began)


def _too_long(*_: object) -> None:
    raise TookTooLong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
