"""Nodes of a ledger as processes: killed, frozen and replaced under load."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from app.audit.format.record import Receipt, draft
from app.audit.storage.append import append
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore
from app.errors import AuditUnavailable

from ..support.ledger import ROLE
from ..support.paths import ROOT
from ..support.postgres_server import PostgresServer
from ..support.waiting import eventually
from .figures import Figures
from .ledger_load import Load, begun, check

NODES = 3


def write(url: str, node: str, incarnation: int) -> None:
    """In a process of its own: append, and print each promise, or `fenced`, as soon as it is known."""
    store = PostgresStore(LedgerPlace(url, node=node, incarnation=incarnation, is_single_primary=True))
    while True:
        records = [draft("log.alive", None, {"node": node}) for _ in range(3)]
        try:
            receipts = append(store.append, records)
        except AuditUnavailable as error:
            print("fenced" if "NODE_NAME" in error.detail else "refused", flush=True)
            time.sleep(0.05)
            continue
        pairs = zip(records, receipts, strict=True)
        print(*(f"{record.request_id}:{one.seq}:{one.hash}" for record, one in pairs), flush=True)


class Node:
    """One process of a service named *name*; what it prints goes to *load*."""

    def __init__(self, url: str, name: str, incarnation: int, load: Load) -> None:
        self.name, self.fenced, self.promises = name, 0, 0
        self._load = load
        command = [sys.executable, "-m", "tests.faults.ledger_nodes", url, name, str(incarnation)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.endswith("\n"):
                break  # cut by the kill: nobody was told
            self.fenced += line == "fenced\n"
            for promise in line.split() if ":" in line else ():
                request_id, seq, digest = promise.split(":")
                self._load.acknowledged[request_id] = Receipt(int(seq), digest)
                self.promises += 1

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()


def _run(rounds: int, fault: Callable[[list[Node], int, Callable[[str, int], Node]], None]) -> Figures:
    figures, started, load = Figures(0, 0, 0.0), time.monotonic(), Load([])
    with ExitStack() as opened:
        server = opened.enter_context(PostgresServer())
        name = opened.enter_context(begun(server))

        def start(node: str, incarnation: int) -> Node:
            one = Node(server.url(name, ROLE), node, incarnation, load)
            opened.callback(one.end)
            return one

        nodes = [start(f"node-{number}", number) for number in range(NODES)]
        for number in range(rounds):
            _all_write(nodes)
            began = time.monotonic()
            fault(nodes, number, start)
            _all_write(nodes)
            figures.ready.append(time.monotonic() - began)
        for one in nodes:
            one.end()
        figures.records, figures.answers = (
            check(LedgerPlace(server.url(name, ROLE)), load, are_all_told=False),
            len(load.acknowledged),
        )
    figures.seconds = time.monotonic() - started
    return figures


def _all_write(nodes: list[Node]) -> None:
    before = {one: one.promises for one in nodes}
    eventually(lambda: all(one.promises > count for one, count in before.items()), "a node writes nothing any more")


def kill_nodes(folder: Path, *, rounds: int, seed: int | None = None) -> Figures:
    """kill -9 of a node's process; another begins in its place, as a newer service of the same name."""
    chance = random.Random(seed)

    def fault(nodes: list[Node], number: int, start: Callable[[str, int], Node]) -> None:
        time.sleep(chance.uniform(0.0, 0.05))
        at = chance.randrange(len(nodes))
        nodes[at].end()
        nodes[at] = start(nodes[at].name, 1000 + number)

    return _run(rounds, fault)


def freeze_nodes(folder: Path, *, rounds: int, seconds: float = 30.0) -> Figures:
    """SIGSTOP of a node under load; it is replaced meanwhile, woken after *seconds*, and writes nothing any more."""

    def fault(nodes: list[Node], number: int, start: Callable[[str, int], Node]) -> None:
        at = number % len(nodes)
        frozen, began = nodes[at], time.monotonic()
        os.kill(frozen.process.pid, signal.SIGSTOP)
        nodes[at] = start(frozen.name, 1000 + number)
        _all_write(nodes)
        eventually(lambda: time.monotonic() - began >= seconds)
        told = frozen.promises
        os.kill(frozen.process.pid, signal.SIGCONT)
        eventually(lambda: frozen.fenced >= 3)
        assert frozen.promises <= told + 3, "it was told that more than the batch before was written"
        frozen.end()

    return _run(rounds, fault)


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], int(sys.argv[3]))
