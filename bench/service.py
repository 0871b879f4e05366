"""This service for a measurement: set up in its own folder, then started, from the given code."""

from __future__ import annotations

import http.client
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .process import Process, ServerFailed, clean_environment, free_port, running

MODEL = "gpt-4o-mini"
READY_SECONDS = 60


@dataclass(frozen=True)
class Service:
    """A folder after `init`, with one client that may ask."""

    folder: Path
    env: dict[str, str] = field(repr=False)
    client: dict[str, str] = field(repr=False)

    @property
    def log(self) -> Path:
        return self.folder / "logs/audit_log.jsonl"

    def token(self, port: int) -> str:
        form = {"grant_type": "client_credentials", **self.client}
        status, document = exchange(port, "POST", "/token", urlencode(form))
        if status != 200:
            raise ServerFailed(f"POST /token answered {status}.")
        return str(document["access_token"])

    @contextmanager
    def served(self, starter: Sequence[str] = ("-m", "app", "serve"), workers: int = 1) -> Iterator[tuple[Process, int, float]]:
        """Its process, its port, and the seconds from start to ready. *starter*: Python arguments that start it."""
        port = free_port()
        command = [sys.executable, *starter, "--port", str(port), "--workers", str(workers)]
        process = Process("this service", command, cwd=self.folder, env=self.env, log=self.folder / "service.log")
        with running(process):
            yield process, port, process.wait_until_ready(port, "/readyz", READY_SECONDS)


def set_up(folder: Path, upstream_url: str, code: Path | None = None) -> Service:
    """*code*: the folder to import `app` from, if not this repository. Raises ServerFailed."""
    folder.mkdir()
    env = {
        "SECRET_KEY": secrets.token_urlsafe(32),
        "OPENAI_API_KEY": "sk-bench",
        "OPENAI_BASE_URL": upstream_url,
        "LLM_MODEL": MODEL,
        "RATE_LIMIT": "10000000",
    }
    if code is not None:
        env["PYTHONPATH"] = str(code)
    run_app(folder, env, "init")
    client = json.loads(run_app(folder, env, "clients", "add", "bench", "--role", "ai.playground.user", "--json"))
    return Service(folder, env, {name: client[name] for name in ("client_id", "client_secret")})


def run_app(folder: Path, env: dict[str, str], *arguments: str, timeout: float = 60) -> str:
    """The output of `python -m app …`. Raises ServerFailed if it fails."""
    command = [sys.executable, "-m", "app", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=clean_environment() | env, capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise ServerFailed(f"python -m app {arguments[0]} ended with {done.returncode}:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def exchange(port: int, method: str, path: str, form: str | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, form, {"content-type": "application/x-www-form-urlencoded"} if form else {})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()
