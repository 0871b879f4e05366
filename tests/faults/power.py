"""Power losses at random moments under several writers: acknowledged records and signed checkpoints survive.

The disk is a model (forgetful_disk.DyingDisk): it keeps what was synced; past that there may be anything. The mark in the lock
file is never synced: afterwards it is new, old, torn, zeros, or missing. Files of the tree come back in any state.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.audit.evidence.published import SignedCheckpoint
from app.audit.evidence.signer import CheckpointSigner
from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.merkle import leaf_hash, root_of
from app.audit.format.note import Signer, verify_checkpoint
from app.audit.format.record import Receipt, draft, split_lines
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore
from app.audit.verification.expected import ExpectedEvidence
from app.audit.verification.verifier import verify_log
from app.errors import AppError, AuditCorrupt, EvidenceUnavailable

from ..support.checked import chain_report
from ..support.forgetful_disk import DyingDisk
from ..support.replaced_os import Died, replaced_os
from ..support.stores import opened_log
from .figures import Figures

WRITERS = 3
CUTS_OF_ONE_LOG = 25
SIGNER = Signer("power", Ed25519PrivateKey.from_private_bytes(bytes(32)))
MARKS = ("new", "new", "old", "old", "torn", "torn", "zeros", "gone")


@dataclass
class Machine:
    """One log, the promises made so far, and how often it did not start by itself."""

    path: Path
    chance: random.Random
    receipts: list[Receipt] = field(default_factory=list)
    notes: list[bytes] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)
    cuts: int = 0
    mark_is: str = "whole"
    newest: bytes = b""

    def checkpoint_signer(self) -> CheckpointSigner:
        return CheckpointSigner(JsonlStore(self.path), StoredTree.beside(self.path), SIGNER)


def cut_power(folder: Path, *, cuts: int, seed: int | None = None) -> Figures:
    """*cuts* times: write, lose power, start again, check everything. `answers` counts acknowledged records."""
    seed = random.randrange(1 << 32) if seed is None else seed
    chance, started = random.Random(seed), time.monotonic()
    refusals = Counter[str]()
    figures, machine = Figures(0, 0, 0.0), None
    for number in range(cuts):
        if machine is None:
            machine = _new_machine(folder / str(number), chance, refusals)
        try:
            _leave_what_outlives_it(machine, _work_until_dark(machine))
            goes_on = _start_again(machine)
        except AssertionError as error:
            raise AssertionError(f"cut {number} of seed {seed}: {error}") from error
        machine.cuts += 1
        if not goes_on or machine.cuts == CUTS_OF_ONE_LOG or number == cuts - 1:
            _count(machine, figures)
            machine = None
    figures.seconds = time.monotonic() - started
    figures.remarks = [f"{times} {what}" for what, times in refusals.most_common()]
    return figures


def _new_machine(place: Path, chance: random.Random, refusals: Counter[str]) -> Machine:
    place.mkdir(parents=True)
    machine = Machine(place / "audit_log.jsonl", chance, refusals=refusals)
    with opened_log(machine.path) as log:
        machine.receipts.append(log.create({"origin": "test"}))
    return machine


def _count(machine: Machine, figures: Figures) -> None:
    lines = AuditLog(JsonlStore(machine.path)).lines()
    actions = [line.partition(b'"action":"')[2].partition(b'"')[0] for line in lines]
    figures.answers += len(machine.receipts)
    figures.records += len(actions)
    figures.recovered += actions.count(b"log.recovered")


# --- until the power is lost ----------------------------------------------------------------------------


def _work_until_dark(machine: Machine) -> DyingDisk:
    chance = machine.chance
    calls = range(120)
    disk = DyingDisk(
        machine.path,
        fail=frozenset(call for call in calls if chance.random() < 0.04),
        persisted=chance.random() < 0.5,
        durable=bytearray(machine.path.read_bytes()),
        cut=chance.randrange(len(calls)),
        kill=frozenset(call for call in calls if chance.random() < 0.04),
        chance=chance,
        names=set(machine.names),
    )
    with replaced_os(disk):
        threads = [threading.Thread(target=_write, args=(machine, disk, chance.randrange(1 << 32))) for _ in range(WRITERS)]
        threads.append(threading.Thread(target=_sign, args=(machine, disk)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return disk


def _write(machine: Machine, disk: DyingDisk, seed: int) -> None:
    chance = random.Random(seed)
    store = JsonlStore(machine.path)
    while not disk.is_off:
        drafts = [draft("log.alive", None, {"text": "x" * chance.randrange(6000)}) for _ in range(chance.randint(1, 3))]
        try:
            machine.receipts.extend(append(store.append, drafts))
        except (AppError, Died):
            store.close()
            store = JsonlStore(machine.path)  # as another process
    store.close()


def _sign(machine: Machine, disk: DyingDisk) -> None:
    """Only signs here; `_leave_tree` damages its files afterwards, more than a disk would."""
    checkpoint_signer = machine.checkpoint_signer()
    while not disk.is_off:
        with suppress(AppError):
            signed = checkpoint_signer.publish_next()
            if signed is not None and signed.note not in machine.notes[-1:]:
                machine.notes.append(signed.note)


# --- what is left on the disk -------------------------------------------------------------------


def _leave_what_outlives_it(machine: Machine, disk: DyingDisk) -> None:
    assert disk.is_off
    machine.path.write_bytes(disk.platters)
    for path in machine.path.parent.glob("*.torn-after-*"):
        if path.name not in disk.names:
            path.unlink()
    machine.names = disk.names
    _leave_mark(machine, disk)
    _leave_tree(machine)


def _leave_mark(machine: Machine, disk: DyingDisk) -> None:
    chance, lock = machine.chance, machine.path.with_name(machine.path.name + ".lock")
    new, old = disk.marks[-1], chance.choice(disk.marks)
    how = chance.choice(MARKS)
    at = chance.randrange(len(new) + 1)
    marks = {"new": new, "old": old, "torn": new[:at] + old[at:], "zeros": bytes(len(new))}
    if how == "gone":
        lock.unlink()
    else:
        lock.write_bytes(marks[how])
    machine.mark_is = how if how in ("zeros", "gone") or marks[how] not in disk.marks else "whole"
    machine.newest = new


def _leave_tree(machine: Machine) -> None:
    """Files other than the checkpoint may be damaged. The last rename may be undone, which leaves two durable checkpoints."""
    chance, folder = machine.chance, StoredTree.beside(machine.path).folder
    if not folder.exists():
        return
    for path in [*folder.glob("hashes.*"), folder / "ends", folder / "vkey"]:
        how = chance.choice(["whole", "whole", "whole", "cut", "garbled", "gone"])
        if not path.exists() or how == "whole":
            continue
        data = path.read_bytes()
        at = chance.randrange(len(data) + 1)
        path.write_bytes(data[:at] + (chance.randbytes(len(data) - at) if how == "garbled" else b""))
        if how == "gone":
            path.unlink()
    new = folder / "checkpoint.new"
    how = chance.choice(["whole", "undone", "torn"])
    if how == "undone" and len(machine.notes) > 1 and (folder / "checkpoint").read_bytes() == machine.notes[-1]:
        (folder / "checkpoint").write_bytes(machine.notes[-2])
        new.write_bytes(machine.notes[-1])
    elif how == "torn" and machine.notes:
        new.write_bytes(machine.notes[-1][: chance.randrange(60)])


# --- the start -----------------------------------------------------------------------------------


def _start_again(machine: Machine) -> bool:
    """Whether the log could be continued; it then verifies completely."""
    log = AuditLog(JsonlStore(machine.path))
    try:
        log.recover()
    except AuditCorrupt as error:
        _refused_with_reason(machine, error)
        log.recover()
    verdict = chain_report(log, machine.receipts)
    log.close()
    if verdict.ok:
        _signed_again(machine)
        return True
    # Without a mark, records past the promised ones may be damaged; only those may have findings.
    promised = max(one.seq for one in machine.receipts)
    assert machine.mark_is != "whole", verdict.findings
    assert all(one.seq is not None and one.seq > promised for one in verdict.findings), (promised, verdict.findings)
    machine.refusals[f"logs with a damaged record that nobody was promised, the mark being {machine.mark_is}"] += 1
    return False


def _refused_with_reason(machine: Machine, error: AuditCorrupt) -> None:
    """A start may be refused only if the mark is lost; acknowledged records must be there. Restores the mark."""
    assert machine.mark_is != "whole", f"refused to start: {error}"
    machine.refusals[f"starts refused, the mark being {machine.mark_is}"] += 1
    lines = list(split_lines([machine.path.read_bytes()]))[: max(one.seq for one in machine.receipts) + 1]
    assert verify_log(lambda: lines, ExpectedEvidence(machine.receipts)).findings == []
    machine.path.with_name(machine.path.name + ".lock").write_bytes(machine.newest)


def _signed_again(machine: Machine) -> None:
    checkpoint_signer = machine.checkpoint_signer()
    try:
        signed = _turn(checkpoint_signer)
    except AppError as error:
        raise AssertionError(f"no new checkpoint is signed: {error}") from error
    leaves = [leaf_hash(line[:-1]) for line in AuditLog(JsonlStore(machine.path)).lines()]
    assert signed.size == len(leaves), (signed.size, len(leaves))
    machine.notes.append(signed.note)
    for note in machine.notes:
        checkpoint = verify_checkpoint(note, SIGNER.verifier_key)
        assert checkpoint.root == root_of(leaves[: checkpoint.size]), (
            f"the checkpoint of {checkpoint.size} records is contradicted"
        )
    machine.notes = machine.notes[-2:]


def _turn(checkpoint_signer: CheckpointSigner) -> SignedCheckpoint:
    """Publish as at a start. One publication may find a damaged tree; the next one rebuilds it."""
    for left in reversed(range(3)):
        try:
            checkpoint_signer.verify_start()
            signed = checkpoint_signer.publish_next()
            assert signed is not None
            return signed
        except EvidenceUnavailable:
            if not left:
                raise
    raise AssertionError
