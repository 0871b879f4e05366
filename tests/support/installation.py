"""An installation in the current folder, made by `init` in this process, and checks of its log and files."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import chdir
from functools import cache
from pathlib import Path

from app.admin import setup
from app.audit.evidence.log_key import load_signer
from app.audit.format.merkle import leaf_hash, root_of
from app.audit.format.note import VerifierKey, verify_checkpoint
from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore

from .checked import chain_report

ORIGIN = "example.com/log"
FILES = ["audit_log.jsonl", "audit_log.jsonl.lock", "audit_log.jsonl.sync", "audit_log.key", "audit_log.tree", "clients.sqlite3"]
LOG, KEY = Path("logs/audit_log.jsonl"), Path("logs/audit_log.key")


def init(*, new_log: bool = False) -> setup.SetupResult:
    return setup.set_up(new_log=new_log)


@cache
def _installed(origin: str | None) -> dict[Path, tuple[int, bytes]]:
    """*origin* is read by `init` from the environment."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        init()
        files = [path for path in Path().rglob("*") if path.is_file()]
        return {path: (path.stat().st_mode, path.read_bytes()) for path in files}


def install() -> None:
    """What `init` makes in an empty folder. It runs once for each AUDIT_ORIGIN in a process of the suite."""
    for path, (mode, content) in _installed(os.environ.get("AUDIT_ORIGIN")).items():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)


def check_sound(log: Path = LOG, key: Path = KEY) -> str:
    """Check the log, its first record, which names its key, and its checkpoint. Returns the log's name."""
    lines = log.read_bytes().split(b"\n")[:-1]
    details = json.loads(lines[0])["details"]
    signer = load_signer(key)
    assert details["vkey"] == signer.verifier_key.text()
    assert details["origin"] == signer.name
    checkpoint = log.with_suffix(".tree") / "checkpoint"
    if not checkpoint.exists():
        assert log != LOG  # a killed init had not signed it when the next one retired the log
        assert len(lines) == 1
        return signer.name
    signed = verify_checkpoint(checkpoint.read_bytes(), VerifierKey.parse(details["vkey"]))
    assert signed.root == root_of(leaf_hash(line) for line in lines[: signed.size])
    assert chain_report(AuditLog(JsonlStore(log))).ok
    return signer.name


def names() -> list[str]:
    return sorted(os.listdir("logs"))


def retired_logs() -> list[tuple[Path, Path]]:
    """The retired logs with their keys."""
    return [(log, log.with_suffix(".key")) for log in sorted(Path("logs").glob("audit_log.retired.*.jsonl"))]
