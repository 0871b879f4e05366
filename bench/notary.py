"""The notary process for the measured log, as `serve` runs one: `python -m bench.notary LOG`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

from app.audit.evidence.health import LogHealth
from app.audit.evidence.log_key import load_signer, store_signer
from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.note import Signer
from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.audit.verification.expected import ExpectedEvidence, read_checkpoint
from app.audit.verification.report import Report
from app.audit.verification.verifier import verify_log
from app.kit.process import die_with
from app.security.security_log import SecurityLog
from app.wiring.audit import open_signing_loop
from app.wiring.log_files import LogFiles

TIMEOUT_SECONDS = 60


def create_log(path: Path) -> None:
    """Create the log and its key, which the first record names."""
    signer = Signer.generate("bench.example/log")
    store_signer(_key(path), signer)
    log = AuditLog(JsonlStore(path))
    log.create({"origin": signer.name, "vkey": signer.verifier_key.text()})
    log.close()


def notary_command(path: Path) -> list[str]:
    return [sys.executable, "-m", "bench.notary", str(path)]


def wait_until_signed(path: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> float:
    """Seconds until the published checkpoint covers every record that is durable now. Raises TimeoutError."""
    started = time.monotonic()
    tree, durable = StoredTree.beside(path), JsonlStore(path).durable()
    while durable is not None and signed_size(tree) <= durable.seq:
        if time.monotonic() > started + timeout_seconds:
            raise TimeoutError(f"No checkpoint over record {durable.seq} was signed in {timeout_seconds} s.")
        time.sleep(0.005)
    return time.monotonic() - started


def signed_size(tree: StoredTree) -> int:
    """The size in the published checkpoint, unverified; 0 if there is none."""
    note = tree.checkpoint()
    return int(note.split(b"\n", 2)[1]) if note else 0


def verify(path: Path) -> Report:
    """Verify bytes, links, tree and signature as `audit verify` does, in this process."""
    note = StoredTree.beside(path).checkpoint()
    assert note is not None
    own = read_checkpoint("the signed checkpoint", note, load_signer(_key(path)).verifier_key, given=False)
    return verify_log(AuditLog(JsonlStore(path)).lines, ExpectedEvidence(checkpoints=[own]))


def _key(path: Path) -> Path:
    return path.with_suffix(".key")


def main(path: Path) -> None:
    die_with(os.getppid(), signal.SIGTERM)  # otherwise it outlives a killed benchmark
    events = path.with_suffix(".security")
    open_signing_loop(LogFiles(path, _key(path), events, 10_000_000), SecurityLog(events), LogHealth()).run(threading.Event())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
