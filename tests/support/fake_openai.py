"""A fast stand-in for a server of the OpenAI protocol, on a real socket: `python -m tests.support.fake_openai --port P`.

POST to one of `fake_modes.DOCUMENTS` is counted and answered as the mode says; everything else is control:
GET /control/calls, GET /control/bodies, POST /control/mode (the members of `fake_modes.Mode`), POST /control/reset.

The modes: ok, no_usage, status:NNN, redirect, garbage, not_http, hang, close, truncate, huge; and for streams (other answers are
as in ok) stall:K, cut:K, error_event:K, garbage_event:K (after K content chunks), no_done, huge_event.
Answers leave each connection in the order of its requests, so pipelining is safe.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
from contextlib import closing
from typing import Any, Self

from .fake_answers import completion_text
from .fake_connection import serve
from .fake_modes import Fake
from .paths import ROOT

__all__ = ["FakeOpenAI", "completion_text"]


class FakeOpenAI:
    """The fake in a process of its own: `with FakeOpenAI() as fake: ... fake.base_url`."""

    def __init__(self, *, keep_digests: bool = False, host: str = "127.0.0.1") -> None:
        self.host = host
        self._command = [sys.executable, "-m", "tests.support.fake_openai", "--with-parent", "--host", host]
        self._command += ["--keep-digests"] * keep_digests

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        self.base_url = f"http://{self.host}:{self.port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def calls(self, what: str = "calls") -> int:
        """The number of calls, or *what*: `open` (neither answered nor disconnected), `strays` (requests to any other address),
        `huge_bytes` (written in the modes `huge` and `huge_event`), `too_many` (refused, because so many were open as
        `fake_modes.Mode.bears`)."""
        return int(self.counts()[what])

    def counts(self) -> dict[str, Any]:
        """All that `calls` can tell, at one moment."""
        return dict(self._control("GET", "calls"))

    def streams(self) -> dict[str, int]:
        """Calls answered by a stream since the last reset: `open`, `finished` (by us), `aborted` (by the client)."""
        return dict(self.counts()["streams"])

    def seen(self) -> dict[str, Any]:
        """`bodies` (the last ones) and their `paths`, `sha256` (of each body, if kept), `headers` (of the last call)."""
        return dict(self._control("GET", "bodies"))

    def set(self, mode: str = "ok", **more: float | str | dict[str, Any] | list[str] | None) -> None:
        """Set the mode and the other members of `fake_modes.Mode`."""
        self._control("POST", "mode", {"mode": mode, **more})

    def reset(self) -> None:
        """Set the mode ok and all counts to zero; calls that are still open are no longer counted."""
        self._control("POST", "reset")

    def _control(self, method: str, what: str, wanted: object = None) -> Any:
        with closing(http.client.HTTPConnection(self.host, self.port, timeout=10)) as connection:
            connection.request(method, f"/control/{what}", json.dumps(wanted))
            answer = json.loads(connection.getresponse().read())
            if "refused" in answer:
                raise ValueError(answer["refused"])
            return answer


if __name__ == "__main__":
    import uvloop  # not on Windows

    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--port", type=int, default=0, help="0 takes a free one; it is printed on stdout")
    arguments.add_argument("--delay", type=float, default=0.0, help="seconds before each answer")
    arguments.add_argument("--keep-digests", action="store_true", help="the SHA-256 of each body")
    arguments.add_argument("--with-parent", action="store_true", help="end when stdin is closed")
    arguments.add_argument("--host", default="127.0.0.1")
    given = arguments.parse_args()
    uvloop.run(serve(Fake(given.delay, given.keep_digests), given.port, given.with_parent, given.host))
