"""An honest caller, as a process of its own: how long it waits for health and for answers.

`python -m tests.faults.honest PORT TOKEN PATH` asks until its stdin ends, then prints its waits as JSON.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from math import inf

from ..support.paths import ROOT

QUESTION = json.dumps({"query": "What is the capital of France?"})
PAUSE_SECONDS = 0.02


@dataclass
class Waits:
    """Seconds for each answer; infinite for none, or one of another status than 200."""

    health: list[float] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)
    """On a new connection each."""
    pooled: list[float] = field(default_factory=list)
    """All on one connection."""

    def told(self, quiet: Waits, elsewhere: Waits | None = None) -> Iterator[str]:
        """*elsewhere*: while the same flood went to another server of this machine."""
        for name, seconds in vars(self).items():
            p99, lost = centile(seconds, 99), seconds.count(inf)
            usual = {"quiet": centile(vars(quiet)[name], 99)}
            if elsewhere:
                usual["with the flood at a bare server"] = centile(vars(elsewhere)[name], 99)
            shares = ", ".join(f"{p99 / was:.1f} x {what}" for what, was in usual.items() if was and p99 < inf)
            share = f" ({shares})" if shares else ""
            missed = f", {lost} of {len(seconds)} without an answer" if lost else ""
            yield f"{name} p99 {1000 * p99:.0f} ms{share}, longest {max(seconds, default=inf):.2f} s{missed}"


def centile(values: list[float], number: int) -> float:
    return sorted(values)[len(values) * number // 100] if values else inf


def ask(connection: HTTPConnection, path: str, token: str) -> float:
    if connection.sock and select.select([connection.sock], [], [], 0)[0]:
        connection.close()  # the service has; pools of connections look, too
    headers, begun = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, time.perf_counter()
    try:
        connection.request("POST" if path == "/ask" else "GET", path, QUESTION if path == "/ask" else None, headers)
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException):
        connection.close()
        return inf
    return time.perf_counter() - begun if response.status == 200 else inf


def main(port: int, token: str, path: str) -> None:
    waits, pooled = Waits(), HTTPConnection("127.0.0.1", port, timeout=30)
    print("asking", flush=True)
    while not waits.pooled or not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        for asked, seconds in (("/livez", waits.health), ("/readyz", waits.health), (path, waits.asked)):
            connection = HTTPConnection("127.0.0.1", port, timeout=30)
            seconds.append(ask(connection, asked, token))
            connection.close()
        waits.pooled.append(ask(pooled, path, token))
    pooled.close()
    print(json.dumps(vars(waits)))


@contextmanager
def honest_caller(port: int, token: str, path: str) -> Iterator[Waits]:
    """What it waited is known after the block."""
    waits, command = Waits(), [sys.executable, "-m", "tests.faults.honest", str(port), token, path]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "asking\n"
    try:
        yield waits
    finally:
        said, _ = process.communicate(timeout=120)
        vars(waits).update(json.loads(said))


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
