"""`audit forward` and its receivers are killed again and again while records come: none is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from ..support.certificates import Authority
from ..support.fake_openai import FakeOpenAI
from ..support.paths import ROOT
from ..support.service import Service, free_port
from ..support.waiting import eventually
from .crash import upstream
from .figures import Figures

IMPORTS = {"PYTHONPATH": str(ROOT)}
SCHEMES = {"http": "http://127.0.0.1:{}/in", "otlp": "otlp+http://127.0.0.1:{}", "syslog": "syslog+tls://127.0.0.1:{}"}


class Process:
    """A program that is started again each time that it is killed."""

    def __init__(self, command: list[str], folder: Path, env: dict[str, str]) -> None:
        self._command, self._folder, self._env = command, folder, env
        self._log = (folder / "forward.log").open("ab")
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, cwd=self._folder, env=self._env, stdout=self._log, stderr=self._log)

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def close(self) -> None:
        self.kill()
        self._log.close()


class Pair:
    """`audit forward` by one protocol, and its receiver."""

    def __init__(self, kind: str, folder: Path, service: Service, authority: Authority) -> None:
        port, self.kept = free_port(), folder / f"received-{kind}"
        served = [kind, str(port), str(self.kept), str(authority.server_file())]
        self.receiver = Process([sys.executable, "-m", "tests.faults.receiver", *served], folder, os.environ | IMPORTS)
        url, trust = SCHEMES[kind].format(port), ("--ca", str(authority.path))
        command = [sys.executable, "-m", "app", "audit", "forward", url, "--format", "jsonl", "--name", kind, *trust]
        self.forwarder = Process(command, service.folder, service.env)

    def close(self) -> None:
        self.forwarder.close()
        self.receiver.close()

    def received(self) -> list[str]:
        """The hashes of whole lines: a kill may cut the last one, which was not confirmed."""
        lines = self.kept.read_bytes().split(b"\n")[:-1] if self.kept.exists() else []
        return [line[-64:].decode() for line in lines if len(line) >= 64]

    def size(self) -> int:
        return self.kept.stat().st_size if self.kept.exists() else 0


def forward(folder: Path, *, kills: int) -> Figures:
    """*kills*: of each forwarder, and as many of its receiver; all protocols at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    started, chance, authority = time.monotonic(), random.Random(), Authority.in_folder(folder)
    with FakeOpenAI() as fake, Service(folder / "service", workers=2, **upstream(fake)) as service, ExitStack() as stack:
        token, stop = service.token("alice", service.add_client()), threading.Event()
        pairs = {kind: Pair(kind, folder, service, authority) for kind in SCHEMES}
        for pair in pairs.values():
            stack.callback(pair.close)
        victims = [(pair, process) for pair in pairs.values() for process in (pair.receiver, pair.forwarder)]
        asking = threading.Thread(target=_ask, args=(service, token, stop))
        asking.start()
        try:
            for _ in range(kills):
                for pair, process in victims:
                    before = pair.size()
                    eventually(lambda pair=pair, before=before: pair.size() > before)  # type: ignore[misc]  # bound in the loop
                    time.sleep(chance.uniform(0, 0.05))
                    process.kill()
                    process.start()
        finally:
            stop.set()
            asking.join()
        wanted = [record["hash"] for record in service.records()]
        remarks = []
        for kind, pair in pairs.items():
            eventually(lambda pair=pair: len(set(pair.received())) >= len(wanted), f"records were lost by {kind}")  # type: ignore[misc]
            got = pair.received()
            assert list(dict.fromkeys(got)) == wanted, f"{kind}: each at least once, the first time in order, with its own id"
            remarks.append(f"{kind}: 0 lost, {len(got) - len(wanted)} came twice")
        remarks.insert(0, f"{kills} x SIGKILL of each forwarder and each receiver: {len(wanted)} records")
        return Figures(len(pairs) * 2 * kills, len(wanted), time.monotonic() - started, remarks=remarks)


def _ask(service: Service, token: str, stop: threading.Event) -> None:
    while not stop.is_set():
        assert service.ask(token).status_code == 200
