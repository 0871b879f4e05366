"""`audit forward` and its receiver are killed again and again while records come: none is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service, free_port
from ..support.waiting import eventually
from .crash import upstream
from .figures import Figures

RECEIVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
file = open(sys.argv[2], "ab")
class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        for one in json.loads(self.rfile.read(int(self.headers["content-length"]))):
            file.write(one["hash"].encode() + b"\\n")
        file.flush()
        os.fsync(file.fileno())  # what is confirmed is kept
        self.send_response(204)
        self.end_headers()
    def log_message(self, *said): pass
class Server(HTTPServer):
    allow_reuse_address = True
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


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


def forward(folder: Path, *, kills: int) -> Figures:
    """*kills*: of the forwarder, and as many of its receiver."""
    started, chance, kept = time.monotonic(), random.Random(), folder / "received"
    with FakeOpenAI() as fake, Service(folder / "service", workers=2, **upstream(fake)) as service:
        token, port, stop = service.token("alice", service.add_client()), free_port(), threading.Event()
        url = f"http://127.0.0.1:{port}/in"
        receiver = Process([sys.executable, "-c", RECEIVER, str(port), str(kept)], folder, dict(os.environ))
        command = [sys.executable, "-m", "app", "audit", "forward", url, "--format", "jsonl", "--name", "faults"]
        forwarder = Process(command, service.folder, service.env)
        asking = threading.Thread(target=_ask, args=(service, token, stop))
        asking.start()
        try:
            for _ in range(kills):
                for process in (receiver, forwarder):
                    before = _count(kept)
                    eventually(lambda before=before: _count(kept) > before)  # type: ignore[misc]  # bound in the loop
                    time.sleep(chance.uniform(0, 0.05))
                    process.kill()
                    process.start()
        finally:
            stop.set()
            asking.join()
        wanted = [record["hash"] for record in service.records()]
        try:
            eventually(lambda: len(set(_received(kept))) >= len(wanted), "records were lost")
        finally:
            forwarder.close()
            receiver.close()
        got = _received(kept)
        assert list(dict.fromkeys(got)) == wanted, "each at least once, the first time in order, with its own id"
        twice = len(got) - len(wanted)
        remark = f"{kills} x SIGKILL of the forwarder and of its receiver each: {len(wanted)} records, 0 lost, {twice} came twice"
        return Figures(0, len(wanted), time.monotonic() - started, remarks=[remark])


def _ask(service: Service, token: str, stop: threading.Event) -> None:
    while not stop.is_set():
        assert service.ask(token).status_code == 200


def _count(kept: Path) -> int:
    return kept.stat().st_size if kept.exists() else 0


def _received(kept: Path) -> list[str]:
    """The hashes of whole lines: a kill may cut the last one, which was not confirmed."""
    lines = kept.read_bytes().split(b"\n")[:-1] if kept.exists() else []
    return [line[-64:].decode() for line in lines if len(line) >= 64]
