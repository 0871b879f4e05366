"""What a stranger with access to the folder may do to each file of a running service, and what is promised then."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from app.audit.evidence.log_key import store_signer
from app.audit.format.chain import link
from app.audit.format.note import Signer
from app.audit.format.record import LogEnd, draft

from ..support.changed_files import add, copy_over, edit
from ..support.service import Service
from ..support.waiting import eventually

TIME = "2026-11-23T09:15:02.123456Z"
OLD = 1_100
"""Records that the log of the service gets first: more than are compared at each look."""


class Promise(Enum):
    CLOSED = "closed until it is restored"
    REBUILT = "rebuilt, and recorded"
    RESTORED = "restored, and told"
    TOLD = "told"


@dataclass(frozen=True)
class Stranger:
    """*within*: seconds to what is promised. *events*: of the security log, one of them is the sign."""

    file: str
    how: str
    do: Callable[[Service], object]
    promise: Promise
    within: float
    event: str
    keeps_refusing: bool = False
    """Whether a worker may refuse for a moment before the promise is kept."""

    @property
    def name(self) -> str:
        return f"{self.file}: {self.how}"


# --- what is done --------------------------------------------------------------------------------


def tree(service: Service, name: str) -> Path:
    return service.log.with_suffix(".tree") / name


def beside(service: Service, ending: str) -> Path:
    return service.log.with_name(service.log.name + ending)


def database(service: Service) -> Path:
    return service.log.with_name("clients.sqlite3")


def put_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def put_pipe(path: Path) -> None:
    """Who opens it to read waits for a writer, for ever."""
    path.unlink()
    os.mkfifo(path)


def forged(log: Path) -> bytes:
    """A record that chains, as anybody can compute it."""
    data = log.read_bytes()
    last = json.loads(data.splitlines()[-1])
    made, _, _ = link([draft("log.alive", None, {"silent_seconds": 60})], LogEnd(len(data), last["seq"], last["hash"]), TIME)
    return made


def put_older_database(service: Service) -> None:
    """Without -wal and -shm, as one that is restored."""
    for ending in ("-wal", "-shm"):
        database(service).with_name(f"clients.sqlite3{ending}").unlink(missing_ok=True)
    shutil.copy(service.folder / "old.sqlite3", service.folder / "copy")
    os.replace(service.folder / "copy", database(service))


def keep_older_database(service: Service) -> None:
    with sqlite3.connect(database(service)) as now, sqlite3.connect(service.folder / "old.sqlite3") as old:
        now.backup(old)


def move_database(service: Service) -> None:
    database(service).rename(service.folder / "away.sqlite3")


def delete_revocations(service: Service) -> None:
    """Those that the service writes back into an older database are deleted again."""
    with sqlite3.connect(database(service)) as now:
        eventually(lambda: now.execute("SELECT 1 FROM revocations").fetchone() is not None)
        now.execute("DELETE FROM revocations")
        now.execute("UPDATE generation SET value = value + 1")


def replace_key(service: Service) -> None:
    path = service.log.with_name("audit_log.key")
    path.unlink()
    store_signer(path, Signer.generate("another/log"))


# --- what is promised ----------------------------------------------------------------------------


def strangers(part: str) -> Iterator[Stranger]:
    """*part*: one of PARTS."""
    yield from PARTS[part]()


def _on_log() -> Iterator[Stranger]:
    def closes(how: str, do: Callable[[Path], object], within: float = 1.0) -> Stranger:
        return Stranger("log", how, lambda service: do(service.log), Promise.CLOSED, within, "log_not_as_signed")

    yield closes("a recent record edited", lambda log: edit(log, -4_000))
    yield closes("an old record edited", lambda log: edit(log, 2_000), within=3.0)
    yield closes("cut", lambda log: os.truncate(log, log.stat().st_size - 700))
    yield closes("emptied", lambda log: os.truncate(log, 0))
    yield closes("a junk line added", lambda log: add(log, b"junk\n"))
    yield closes("a forged record added that chains", lambda log: add(log, forged(log)))
    yield closes("an older record added again", lambda log: add(log, log.read_bytes().splitlines(keepends=True)[1]))
    yield closes("replaced by an edited copy", lambda log: copy_over(log, lambda copy: edit(copy, 2_000)))
    yield closes("replaced by a shorter copy", lambda log: copy_over(log, lambda copy: os.truncate(copy, 2_000)))
    yield closes("removed", lambda log: log.unlink())
    yield closes("moved away", lambda log: log.rename(log.with_name("away")))
    how, event = "replaced by an identical copy", "log_as_signed_again"
    yield Stranger("log", how, lambda service: copy_over(service.log), Promise.RESTORED, 2.0, event, keeps_refusing=True)


def _on_checkpoint() -> Iterator[Stranger]:
    def closes(how: str, do: Callable[[Path], object]) -> Stranger:
        return Stranger(
            "checkpoint", how, lambda service: do(tree(service, "checkpoint")), Promise.CLOSED, 1.0, "log_not_as_signed"
        )

    yield closes("edited", lambda path: edit(path, 60))
    yield closes("emptied", lambda path: os.truncate(path, 0))
    yield closes("replaced by an older one", lambda path: shutil.copy(path.with_name("older"), path))
    yield closes("removed", lambda path: path.unlink())
    yield closes("replaced by a folder", put_folder)
    yield closes("replaced by a pipe", put_pipe)
    yield Stranger(
        "checkpoint",
        "the whole tree removed",
        lambda service: shutil.rmtree(tree(service, "")),
        Promise.CLOSED,
        1.0,
        "log_not_as_signed",
    )


def _on_tree() -> Iterator[Stranger]:
    def rebuilt(name: str, how: str, do: Callable[[Path], object], within: float) -> Stranger:
        return Stranger("tree", f"{name} {how}", lambda service: do(tree(service, name)), Promise.REBUILT, within, "tree_rebuilt")

    for name in ("hashes.0", "hashes.1", "ends"):
        yield rebuilt(name, "removed", lambda path: path.unlink(), 2.0)
        yield rebuilt(name, "cut", lambda path: os.truncate(path, 40), 2.0)
        yield rebuilt(name, "edited", lambda path: edit(path, 33), 4.0)
        yield rebuilt(name, "replaced", lambda path: copy_over(path, lambda copy: edit(copy, 33)), 4.0)

    def restored(how: str, do: Callable[[Path], object]) -> Stranger:
        return Stranger(
            "tree", f"vkey {how}", lambda service: do(tree(service, "vkey")), Promise.RESTORED, 1.0, "verifier_key_restored"
        )

    yield restored("removed", lambda path: path.unlink())
    yield restored("edited", lambda path: edit(path, 3))


def _on_locks() -> Iterator[Stranger]:
    def restored(ending: str, how: str, do: Callable[[Path], object], event: str, refuses: bool) -> Stranger:
        return Stranger(
            ending, how, lambda service: do(beside(service, ending)), Promise.RESTORED, 1.5, event, keeps_refusing=refuses
        )

    for ending in (".lock", ".sync"):
        yield restored(ending, "removed", lambda path: path.unlink(), "log_locks_restored", True)
        yield restored(ending, "replaced", copy_over, "log_locks_restored", True)
    yield restored(".lock", "emptied", lambda path: os.truncate(path, 0), "log_locks_restored", False)
    yield restored(".lock", "edited", lambda path: edit(path, 10), "log_locks_restored", False)
    yield restored(".running", "removed", lambda path: path.unlink(), "running_mark_restored", False)
    yield restored(".running", "replaced", copy_over, "running_mark_restored", False)
    yield Stranger(
        ".lock",
        "replaced by an older one",
        lambda service: shutil.copy(service.folder / "older.lock", beside(service, ".lock")),
        Promise.CLOSED,
        1.0,
        "log_not_as_signed",
    )


def _on_others() -> Iterator[Stranger]:
    def told(how: str, do: Callable[[Path], object]) -> Stranger:
        return Stranger(
            "log key", how, lambda service: do(service.log.with_name("audit_log.key")), Promise.TOLD, 1.0, "log_key_lost"
        )

    yield told("removed", lambda path: path.unlink())
    yield told("edited", lambda path: edit(path, 50))
    yield told("readable for others", lambda path: path.chmod(0o644))
    yield told("replaced by a pipe", put_pipe)
    yield Stranger("log key", "replaced", replace_key, Promise.TOLD, 1.0, "log_key_lost")
    unreachable = "clients_database_unreachable"
    yield Stranger("database", "moved away", move_database, Promise.TOLD, 1.5, unreachable)
    yield Stranger("database", "replaced by an older one", put_older_database, Promise.TOLD, 1.5, "database_replaced")
    yield Stranger("database", "its revocations deleted", delete_revocations, Promise.TOLD, 1.5, "database_replaced")


PARTS = {"log": _on_log, "checkpoint": _on_checkpoint, "tree": _on_tree, "locks": _on_locks, "key and database": _on_others}
