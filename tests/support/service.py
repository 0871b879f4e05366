"""A real service for a test: `python -m app serve` in its own folder, on its own port, over real sockets."""

from __future__ import annotations

import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from app.upstream.resilience.breaker import Breaker
from app.wiring.breakers import breaker_files

from .command_server import run_forked
from .windows import remove_windows

READY_SECONDS = 60.0
LOOPBACK = "127.0.0.1"
HTTP = httpx.Client(verify=False, timeout=60, limits=httpx.Limits(max_keepalive_connections=0))
"""Opens a connection for each call, but shares the TLS context, which costs 30 ms."""


RUNNING: set[Service] = set()


def close_breakers(*services: Service) -> None:
    """Those of all running services: what failed in one test is nothing to the next one."""
    for service in services or RUNNING:
        for file in breaker_files(service.log):
            with closing(Breaker(file=file)) as breaker:
                breaker.reset()


class Service:
    """Initialised at construction, started by `start` (or `with`), stopped gracefully at the end.

    *env* are settings by their upper-case names; the upstream is OPENAI_BASE_URL. *prefix* goes before every command and
    must end by executing it in the same process. *host*: an address of its own.
    """

    def __init__(self, folder: Path, *, workers: int = 1, prefix: Sequence[str] = (), host: str = LOOPBACK, **env: str) -> None:
        self.host, self.folder, self.workers, self.prefix = host, folder, workers, prefix
        folder.mkdir(parents=True, exist_ok=True)
        outside = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        self.secret_key = secrets.token_urlsafe(32)
        self.env = {**outside, "SECRET_KEY": self.secret_key, "RATE_LIMIT": "10000000", "NO_COLOR": "1", **env}
        self.port = free_port()
        self.url = f"http://{host}:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.initialise()

    def initialise(self) -> None:
        self._set_up("init")

    @property
    def log(self) -> Path:
        return self.folder / self.env.get("AUDIT_LOG_PATH", "logs/audit_log.jsonl")

    # --- commands --------------------------------------------------------------------------------

    def run(self, *arguments: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run `python -m app …` in the service's folder. *status* None accepts any exit status."""
        command = [*self.prefix, sys.executable, "-m", "app", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=120)
        assert status is None or done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def cli(self, *arguments: str, status: int | None = 0) -> Any:
        """The JSON document that a command prints with --json."""
        return json.loads(self.run(*arguments, "--json", status=status).stdout)

    def add_client(self, name: str = "alice", role: str = "ai.playground.user") -> str:
        """The new client's secret."""
        return str(self._set_up("clients", "add", name, "--role", role)["client_secret"])

    def _set_up(self, *arguments: str) -> Any:
        """As `cli`, and sooner where the process may be forked from one of the suite."""
        if self.prefix or any(name.startswith(("LD_", "PYTHON")) for name in self.env):
            return self.cli(*arguments)
        done = run_forked([*arguments, "--json"], self.folder, self.env)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    # --- the process -----------------------------------------------------------------------------

    def start(self, wait: bool = True, output: int | None = None) -> Service:
        """*output*: a descriptor for stdout and stderr, in place of the file serve.log."""
        listen = [] if self.host == LOOPBACK else ["--host", self.host]
        serve = ["serve", *listen, "--port", str(self.port), "--workers", str(self.workers)]
        command = [*self.prefix, sys.executable, "-m", "app", *serve]
        with (self.folder / "serve.log").open("ab") as file:
            begun, to = file.tell(), output if output is not None else file
            self.process = subprocess.Popen(command, cwd=self.folder, env=self.env, stdout=to, stderr=to, start_new_session=True)
        RUNNING.add(self)
        if wait:
            self.wait_ready()
        if wait and output is None:
            self._wait_for_all(begun)
        return self

    def _wait_for_all(self, begun: int) -> None:
        """/readyz answers when one worker does; the parent announces when all do."""
        end = time.monotonic() + READY_SECONDS
        while b"Serving on " not in (self.folder / "serve.log").read_bytes()[begun:]:
            assert time.monotonic() < end, f"not all are ready:\n{self.output()}"
            time.sleep(0.02)

    def wait_ready(self, seconds: float = READY_SECONDS) -> float:
        """Seconds until /readyz is 200."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            assert self.process is None or self.process.poll() is None, f"serve ended:\n{self.output()}"
            try:
                if HTTP.get(self.url + "/readyz", timeout=2).status_code == 200:
                    return time.monotonic() - started
            except httpx.HTTPError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready after {seconds} s:\n{self.output()}")

    @property
    def pid(self) -> int:
        """Of the parent process."""
        assert self.process is not None
        return self.process.pid

    def worker_pids(self) -> list[int]:
        return [pid for pid in self._children() if name_of(pid) not in ("notary", "metrics", "index")]

    def notary_pid(self) -> int:
        """The pid of the notary process; 0 while there is none."""
        return next((pid for pid in self._children() if name_of(pid) == "notary"), 0)

    def _children(self) -> list[int]:
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self.process = None
        RUNNING.discard(self)
        return status

    def kill(self) -> None:
        """SIGKILL to the parent and all its children at once."""
        assert self.process is not None
        with suppress(ProcessLookupError):  # it ended by itself, and those who waited for it have said so
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None
        RUNNING.discard(self)

    def output(self) -> str:
        return (self.folder / "serve.log").read_text(errors="replace")[-5000:]

    def __enter__(self) -> Service:
        return self if self.process else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process is not None:
            self.stop() if error is None else self.kill()
        remove_windows(self.log)

    # --- calls -----------------------------------------------------------------------------------

    def token(self, client_id: str, client_secret: str, **form: str) -> str:
        data = {"grant_type": "client_credentials", **form}
        response = HTTP.post(self.url + "/token", data=data, auth=(client_id, client_secret), timeout=30)
        assert response.status_code == 200, response.text
        return str(response.json()["access_token"])

    def ask(self, token: str, query: str = "What is the capital of France?") -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return HTTP.post(self.url + "/ask", json={"query": query}, headers=headers, timeout=60)

    def records(self) -> list[dict[str, Any]]:
        """All records of the log as it is now."""
        return [json.loads(line) for line in self.log.read_bytes().split(b"\n")[:-1]]

    def security_log(self, *wanted: str) -> list[str]:
        """The lines of the security log, once each of *wanted* is in it: a thread writes it."""
        path, end = self.folder / "logs/security.log", time.monotonic() + READY_SECONDS
        while not path.exists() or not all(one in path.read_text() for one in wanted):
            assert time.monotonic() < end, f"{wanted} is not in the security log"
            time.sleep(0.01)
        return path.read_text().splitlines()

    def verify(self, *receipts: str) -> dict[str, Any]:
        """The report of `audit verify`."""
        options = [word for receipt in receipts for word in ("--receipt", receipt)]
        return dict(self.cli("audit", "verify", *options, status=None))


class LaterService(Service):
    """In a folder that has all that it needs: another node's key, or a copy of its files."""

    def initialise(self) -> None:
        """A command takes a second of CPU."""


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def free_port() -> int:
    """Below those that the kernel gives to connections (net.ipv4.ip_local_port_range): none takes it before it is used."""
    while True:
        port = next(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


def _ports() -> Iterator[int]:
    """Of each process of the suite its own: another would find one free that is taken, and not used yet."""
    process, of = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = list(range(10_000 + process, 32_768, of))
    random.SystemRandom().shuffle(ports)
    return cycle(ports)


_PORTS = _ports()
