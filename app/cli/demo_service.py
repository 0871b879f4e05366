"""A service in a folder of its own, for `demo`: its commands, and the running server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from ..errors import ConfigError
from ..upstream import embedded

START_SECONDS = 120.0
POLL_SECONDS = 0.05
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TERM", "LD_LIBRARY_PATH")
"""Other variables are left out: the user's settings would change what the demo shows."""
SETTINGS = {"LLM_MAX_TOKENS": "60"}


class DemoService:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "logs" / "audit_log.jsonl"
        self._output = folder / "serve.log"
        self._port = embedded.free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | SETTINGS

    def command(self, *arguments: str, **settings: str) -> Any:
        """The JSON document of a command. Raises ConfigError unless its status is 0 or 1."""
        argv = [sys.executable, "-m", "app", *arguments, "--json"]
        environment = {**self._environment, **settings}
        done = subprocess.run(argv, cwd=self.folder, env=environment, capture_output=True, text=True)  # noqa: S603
        if done.returncode not in (0, 1):
            raise ConfigError(f"{' '.join(arguments)} failed: {done.stderr.strip()}")
        return json.loads(done.stdout)

    @contextmanager
    def running(self) -> Iterator[None]:
        """A server, stopped at the end; it is not ready yet."""
        argv = [sys.executable, "-m", "app", "serve", "--port", str(self._port)]
        with self._output.open("wb") as file:
            server = subprocess.Popen(argv, cwd=self.folder, env=self._environment, stdout=file, stderr=file)  # noqa: S603
        try:
            self._server, self._started = server, time.monotonic()
            yield
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait()

    def wait_until_ready(self) -> float:
        """Seconds since the start. Raises ConfigError with the server's output if it fails."""
        while self._server.poll() is None and time.monotonic() - self._started < START_SECONDS:
            with suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return time.monotonic() - self._started
            time.sleep(POLL_SECONDS)
        raise ConfigError(f"The server did not start:\n{self._output.read_text()}")
