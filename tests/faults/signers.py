"""Nodes that sign one ledger, killed, cut off and frozen: another signs, and no two heads ever contradict each other."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from app.audit.evidence.health import LogHealth
from app.audit.evidence.log_key import store_signer
from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.merkle import RightEdge, leaf_hash
from app.audit.format.note import verify_checkpoint
from app.audit.format.record import draft
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore
from app.security.security_log import SecurityLog
from app.wiring.audit import open_checkpoint_signer, open_signing_loop
from app.wiring.log_files import LogFiles

from ..support.evidence import SIGNER
from ..support.own_ledger import new_place
from ..support.postgres_server import PostgresServer
from ..support.waiting import eventually
from .figures import Figures

SPAWN = multiprocessing.get_context("spawn")
NODES = ("n1", "n2", "n3")
LEADER = "SELECT pid, application_name FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory' AND granted"
FAULTS = ("killed", "cut off", "frozen")


class Signers:
    """Notary processes, each with a folder of its own. `heads` holds what any of them has ever published."""

    def __init__(self, folder: Path, server: PostgresServer) -> None:
        self.server, self.place = server, new_place(server)
        self.database = self.place.url.rpartition("/")[2]
        self.files = {name: self._files_of(folder / name, name) for name in NODES}
        self.heads: set[bytes] = set()
        self._sizes = dict.fromkeys(NODES, 0)
        self._processes: dict[str, Any] = {}
        with closing(PostgresStore(self.place)) as store:
            AuditLog(store).create({"origin": SIGNER.name, "vkey": SIGNER.verifier_key.text()})
        with closing(open_checkpoint_signer(self.files["n1"], is_notary=True)) as signer:
            assert signer.publish_next()
        for name in NODES:
            self.start(name)

    def _files_of(self, folder: Path, name: str) -> LogFiles:
        folder.mkdir(parents=True)
        store_signer(folder / "log.key", SIGNER)
        place = replace(self.place, node=name, admin_url=None)
        return LogFiles(folder / "audit_log.jsonl", folder / "log.key", folder / "security.log", 10_000_000, place)

    def start(self, name: str) -> None:
        self._processes[name] = SPAWN.Process(target=sign_forever, args=(self.files[name],), daemon=True)
        self._processes[name].start()

    def leader(self) -> tuple[int, str]:
        """The backend and the node of the one that signs now."""
        ask = partial(self.server.query, LEADER, database=self.database)
        while not (found := ask()):
            time.sleep(0.01)
        return found[0][0], found[0][1].rpartition(" ")[2]

    def look(self) -> int:
        """Note what each node serves now; the longest. A node never goes back."""
        for name in NODES:
            note = StoredTree.beside(self.files[name].audit_log_path).checkpoint()
            if note is not None:
                size = verify_checkpoint(note, SIGNER.verifier_key).size
                assert size >= self._sizes[name], f"{name} went back"
                self._sizes[name] = size
                self.heads.add(note)
        return max(self._sizes.values())

    def hurt(self, how: str) -> None:
        backend, name = self.leader()
        process = self._processes[name]
        if how == "cut off":
            self.server.query("SELECT pg_terminate_backend(%s)", backend)
        elif how == "killed":
            process.kill()
            process.join()
            self.start(name)
        else:
            os.kill(process.pid, signal.SIGSTOP)
            eventually(lambda: self.leader()[0] != backend)
            os.kill(process.pid, signal.SIGCONT)

    def all_follow(self, size: int) -> bool:
        self.look()
        return min(self._sizes.values()) > size

    def check(self) -> int:
        """Each head ever served is of the log as it is; how many records that has."""
        with closing(PostgresStore(self.place)) as store:
            lines = b"".join(store.chunks(store.size())).splitlines()
        roots = {verify_checkpoint(note, SIGNER.verifier_key).size: note for note in self.heads}
        assert len(roots) == len(self.heads), "two heads of one size"
        edge = RightEdge()
        for size, note in sorted(roots.items()):
            edge.extend([leaf_hash(line) for line in lines[edge.size : size]])
            assert edge.root() == verify_checkpoint(note, SIGNER.verifier_key).root, f"the head over {size} records"
        return len(lines)

    def stop(self) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
            process.kill()
            process.join()


def sign_forever(files: LogFiles) -> None:
    open_signing_loop(files, SecurityLog(files.security_log_path), LogHealth()).run(threading.Event())


def hurt_signers(folder: Path, *, rounds: int, faults: tuple[str, ...] = FAULTS, seed: int | None = None) -> Figures:
    """*rounds* times one of *faults* happens to the node that signs, while records come."""
    chance, figures, started = random.Random(seed), Figures(0, 0, 0.0), time.monotonic()
    with PostgresServer() as server:
        signers = Signers(folder, server)
        try:
            with records_coming(signers.place):
                for number in range(rounds):
                    size, began = signers.look(), time.monotonic()
                    eventually(lambda size=size: signers.look() > size)  # type: ignore[misc]
                    signers.hurt(faults[number % len(faults)])
                    size = signers.look()
                    eventually(lambda size=size: signers.all_follow(size))  # type: ignore[misc]
                    figures.ready.append(time.monotonic() - began)
                    time.sleep(chance.uniform(0, 0.3))
        finally:
            signers.stop()
        figures.records, figures.answers = signers.check(), len(signers.heads)
    figures.seconds = time.monotonic() - started
    return figures


@contextmanager
def records_coming(place: LedgerPlace) -> Iterator[None]:
    """Another node records, until the end of the block."""
    stop = threading.Event()

    def record() -> None:
        with closing(PostgresStore(replace(place, node="recorder"))) as store:
            while not stop.wait(0.02):
                append(store.append, [draft("log.alive", None, {"silent_seconds": n}) for n in range(5)])

    thread = threading.Thread(target=record)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
