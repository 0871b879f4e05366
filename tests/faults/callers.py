"""Callers who ask the same again and again while something is broken. They run in a process of their own."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ..support.calls import bearer
from ..support.paths import ROOT
from ..support.service import Service

PAUSE_SECONDS = 0.02
BROKEN = "no answer"
Call = dict[str, Any]
"""Of one caller: method, path, headers and body, as `http.client` takes them."""


@dataclass
class Seen:
    """What one caller got meanwhile."""

    answers: Counter[str] = field(default_factory=Counter)
    """By status and code: "200", "503 unavailable"; BROKEN for none."""
    times: list[float] = field(default_factory=list)
    """Milliseconds, in order of size."""

    @property
    def refused(self) -> Counter[str]:
        return Counter({kind: number for kind, number in self.answers.items() if kind != "200"})

    def __str__(self) -> str:
        kinds = ", ".join(f"{number:,} x {kind}" for kind, number in self.answers.most_common())
        if not self.times:
            return kinds
        middle, late = self.times[len(self.times) // 2], self.times[len(self.times) * 99 // 100]
        return f"{kinds} (p50 {middle:.0f}, p99 {late:.0f}, longest {self.times[-1]:.0f} ms)"


def get(path: str, token: str = "") -> Call:
    return {"method": "GET", "path": path, "headers": bearer(token) if token else {}, "body": None}


def ask(token: str) -> Call:
    headers = {"Content-Type": "application/json", **bearer(token)}
    return {"method": "POST", "path": "/ask", "headers": headers, "body": '{"query": "What is the capital of France?"}'}


def token_of(client_id: str, secret: str) -> Call:
    body = f"grant_type=client_credentials&client_id={client_id}&client_secret={secret}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return {"method": "POST", "path": "/token", "headers": headers, "body": body}


HEALTH = {"/livez": get("/livez"), "/readyz": get("/readyz"), "the loop": get("/audit/vkey")}
"""The last one is answered by the event loop and waits for nobody."""


@contextmanager
def calling(node: Service, calls: Mapping[str, Call]) -> Iterator[dict[str, Seen]]:
    """What each caller got is known once the block has ended."""
    seen = {name: Seen() for name in calls}
    command = [sys.executable, "-m", "tests.faults.callers", node.host, str(node.port), json.dumps(calls)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # they have begun
            yield seen
        finally:
            told = process.communicate()[0]
    for name, found in json.loads(told).items():
        seen[name].answers.update(found["answers"])
        seen[name].times += found["times"]


def main(host: str, port: int, calls: Mapping[str, Call]) -> None:
    """Until the end of stdin."""
    over, seen = threading.Event(), {name: Seen() for name in calls}
    threads = [threading.Thread(target=_call, args=(host, port, calls[name], seen[name], over)) for name in calls]
    for thread in threads:
        thread.start()
    print("begun", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps({name: {"answers": one.answers, "times": sorted(one.times)} for name, one in seen.items()}))


def _call(host: str, port: int, call: Call, seen: Seen, over: threading.Event) -> None:
    """A new connection for each call, as orchestrators open one."""
    while not over.is_set():
        began = time.monotonic()
        connection = http.client.HTTPConnection(host, port, timeout=60)
        try:
            connection.request(call["method"], call["path"], call["body"], call["headers"])
            answer = connection.getresponse()
            kind = _kind(answer.status, answer.read())
        except (OSError, http.client.HTTPException):
            kind = BROKEN
        finally:
            connection.close()
        seen.answers[kind] += 1
        seen.times.append(1000 * (time.monotonic() - began))
        over.wait(PAUSE_SECONDS)


def _kind(status: int, body: bytes) -> str:
    if status == 200:
        return "200"
    document = json.loads(body)
    return f"{status} {document.get('code') or document.get('error') or document.get('status')}"


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))
