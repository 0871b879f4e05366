"""Programs whose every system call is made to fail: each prepares a folder, works in it, and prints its promises.

A program is run as `python -c SOURCE FOLDER SHORT LIMIT`: with SHORT n, the n-th write of the process takes only half
of its bytes; with LIMIT n, no file may grow past n bytes. It prints `seq:hash` for what it acknowledged, else an error's code.
A torn tail that is set aside gets a name without the time of day, so that calls on it can be identified by path.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.audit.evidence.published import SignedCheckpoint
from app.audit.evidence.signer import CheckpointSigner
from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.merkle import leaf_hash, root_of
from app.audit.format.note import Signer
from app.audit.format.record import Receipt, draft
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.marks import REACH_AT
from app.errors import AppError

from ..support.checked import chain_report
from .strace import Traced

LOG = "log.jsonl"
PREAMBLE = """
import itertools, os, resource, sys
from pathlib import Path
from app.errors import AppError
from app.audit.storage.append import append
from app.audit.format.record import draft
from app.audit.storage import recovery
from app.audit.storage.jsonl import JsonlStore
from app.audit.log import AuditLog
folder, short, limit = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
def shorten(write, counted=itertools.count(1)):
    return lambda fd, data, *at: write(fd, data[: len(data) // 2] if next(counted) == short else data, *at)
os.pwrite, os.write = shorten(os.pwrite), shorten(os.write)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
recovery.free_name = lambda path, what, counted=itertools.count(): f"{path.stem}.{what}.{next(counted)}{path.suffix}"
store = JsonlStore(folder / "log.jsonl")
def attempt(work):
    try:
        for receipt in work() or []:
            print(f"{receipt.seq}:{receipt.hash}", flush=True)
    except AppError as error:
        print(error.code, flush=True)
    except OSError as error:
        print(f"escaped:{error!r}".replace(" ", "_"), flush=True)
"""
SIGNER = """
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from app.audit.format.record import Receipt
from app.audit.evidence.signer import CheckpointSigner
from app.audit.format.note import Signer
from app.audit.evidence.stored_tree import StoredTree
signer = CheckpointSigner(store, StoredTree.beside(store.path), Signer("test", Ed25519PrivateKey.from_private_bytes(bytes(32))))
def turn(**how):
    signed = signer.publish_next(timeout_seconds=0, **how)
    return [Receipt(signed.size, signed.checkpoint.root.hex())]
attempt(lambda: turn(at_most=100))
attempt(turn)
"""
TWICE = 'for n in "ab":\n    attempt(lambda: append(store.append, [draft("log.alive", None, {"n": n})]))\n'
FAILED_SYNC = "fdatasync:error=EIO:when=1"
RECOVER = "attempt(AuditLog(store).recover)\n"


@dataclass(frozen=True)
class Program:
    """*given*: fails in every run, before the fault that is tried. *promises*: how many a run without faults makes."""

    what: str
    source: str
    prepare: Callable[[Path], list[Receipt]]
    promises: int
    check: Callable[[Path, list[Receipt]], None]
    given: str | None = None


def acknowledged(traced: Traced) -> list[Receipt]:
    return [Receipt(int(seq), digest) for seq, _, digest in (one.partition(":") for one in traced.said) if len(digest) == 64]


# --- a log of three records ----------------------------------------------------------------------


def sound_log(folder: Path) -> list[Receipt]:
    store = JsonlStore(folder / LOG)
    receipts = [AuditLog(store).create({"origin": "test"})]
    receipts += append(store.append, [draft("log.alive", None, {"n": n, "text": "x" * 3000}) for n in range(2)])
    store.close()
    return receipts


def torn_log(folder: Path) -> list[Receipt]:
    """The last writer was killed: past the mark are a complete, unacknowledged record and a part of another."""
    receipts = sound_log(folder)
    log, lock = folder / LOG, folder / f"{LOG}.lock"
    store, mark = JsonlStore(log), lock.read_bytes()
    append(store.append, [draft("log.alive", None, {"n": "whole"})])
    append(store.append, [draft("log.alive", None, {"n": "torn", "text": "x" * 500})])
    store.close()
    log.write_bytes(log.read_bytes()[:-200])
    lock.write_bytes(mark[:REACH_AT] + lock.read_bytes()[REACH_AT:])
    return receipts


def holds(folder: Path, receipts: list[Receipt]) -> None:
    """Continued by another process, the log verifies and holds every acknowledged record once."""
    log = AuditLog(JsonlStore(folder / LOG))
    try:
        log.recover()
    except AppError as error:
        raise AssertionError(f"the log cannot be written any more: {error}") from error
    verdict = chain_report(log, receipts)
    assert verdict.findings == [], verdict.findings
    records = [json.loads(line) for line in log.lines()]
    written = Counter(json.dumps(one["details"]["n"]) for one in records if one["action"] == "log.alive")
    assert set(written.values()) <= {1}, written
    log.close()
    for one in records:
        if one["action"] == "log.recovered":
            kept = (folder / one["details"]["kept_as"]).read_bytes()
            assert (len(kept), hashlib.sha256(kept).hexdigest()) == (one["details"]["bytes"], one["details"]["sha256"])


def holds_and_recovered(folder: Path, receipts: list[Receipt]) -> None:
    """Also, the complete record of the killed writer is in the log, and the torn one is kept beside it."""
    holds(folder, receipts)
    records = [json.loads(line) for line in (folder / LOG).read_bytes().splitlines()]
    assert [one["details"].get("n") for one in records[1:4]] == [0, 1, "whole"], records[1:4]
    kept = [path.read_bytes() for path in folder.glob("*torn-after-3*")]
    assert any(one.startswith(b'{"v":1,"seq":4,') and one.endswith(b"x" * 100) for one in kept), kept


# --- a tree --------------------------------------------------------------------------------------


def checkpoint_signer_of(folder: Path) -> CheckpointSigner:
    signer = Signer("test", Ed25519PrivateKey.from_private_bytes(bytes(32)))
    return CheckpointSigner(JsonlStore(folder / LOG), StoredTree.beside(folder / LOG), signer)


def signed_log(folder: Path) -> list[Receipt]:
    """600 records, 200 of them signed; the next hundred fill a tile, so that the second level of tiles begins."""
    store = JsonlStore(folder / LOG)
    AuditLog(store).create({"origin": "test"})
    append(store.append, [draft("log.alive", None, {"n": n}) for n in range(599)])
    store.close()
    return [head_of(checkpoint_signer_of(folder).publish_next(at_most=200))]


def head_of(signed: SignedCheckpoint | None) -> Receipt:
    """A signed checkpoint written as a promise: its size and its root."""
    assert signed is not None
    return Receipt(signed.size, signed.checkpoint.root.hex())


def contradicts_nothing(folder: Path, heads: list[Receipt]) -> None:
    """The published checkpoint verifies, the next publication covers all records, and no earlier checkpoint is contradicted."""
    checkpoint_signer = checkpoint_signer_of(folder)
    heads = [*heads, head_of(checkpoint_signer.published())]
    try:
        checkpoint_signer.verify_start()
        heads.append(head_of(checkpoint_signer.publish_next()))
    except AppError as error:
        raise AssertionError(f"nothing can be signed any more: {error}") from error
    leaves = [leaf_hash(line) for line in (folder / LOG).read_bytes().splitlines()]
    assert heads[-1].seq == len(leaves) == 600, heads[-1]
    for head in heads:
        assert root_of(leaves[: head.seq]).hex() == head.hash, head


PROGRAMS = {
    "append": Program("two appends", PREAMBLE + TWICE, sound_log, 2, holds),
    "repair": Program("two appends, the first sync failing", PREAMBLE + TWICE, sound_log, 2, holds, given=FAILED_SYNC),
    "recover": Program("a start with a torn tail, and two appends", PREAMBLE + RECOVER + TWICE, torn_log, 2, holds_and_recovered),
    "signer": Program("two publications", PREAMBLE + SIGNER, signed_log, 2, contradicts_nothing),
}
