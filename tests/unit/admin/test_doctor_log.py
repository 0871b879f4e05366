"""The end of the log, its key and its locks."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app.admin import doctor_log
from app.admin.doctor_findings import Finding
from app.admin.doctor_log import last_line, look_at_end, look_at_key, look_at_locks
from app.audit.evidence.log_key import load_signer
from app.audit.evidence.signer import CheckpointSigner
from app.audit.evidence.stored_tree import StoredTree
from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.running import marked_running
from app.settings import load_settings

from ...support import installation


@pytest.fixture(autouse=True)
def installed(place: Path) -> None:
    installation.init()


def record(count: int) -> None:
    async def write(audit: AuditLog) -> None:
        async with audit:
            for _ in range(count):
                await audit.record("log.alive", user_id=None, details={"silent_seconds": 60, "text": "x" * 200})

    with closing(AuditLog(JsonlStore(installation.LOG))) as audit:
        asyncio.run(write(audit))


def sign() -> None:
    store, tree = JsonlStore(installation.LOG), StoredTree.beside(installation.LOG)
    CheckpointSigner(store, tree, load_signer(installation.KEY)).publish_next()


def end() -> Finding:
    (finding,) = look_at_end(load_settings())
    return finding


def test_an_end_that_chains_and_is_signed_is_well() -> None:
    assert end().says == "The last 1 records of logs/audit_log.jsonl chain, and 1 of 1 are signed."
    record(3)
    assert end().says.endswith("chain, and 1 of 4 are signed.")
    sign()
    assert end().says.endswith("chain, and 4 of 4 are signed.")


def test_of_a_long_log_only_the_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    record(20)
    sign()
    monkeypatch.setattr(doctor_log, "END_BYTES", 2000)
    finding = end()
    assert finding.state == "ok"
    assert 1 < int(finding.says.split()[2]) < 10


def changed(data: bytes) -> bytes:
    return data.replace(b'"silent_seconds":60', b'"silent_seconds":61')


def cut(data: bytes) -> bytes:
    return b"".join(data.splitlines(keepends=True)[:-2])


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (changed, "the record was changed: its bytes do not give its hash. Run python -m app audit verify"),
        (lambda data: data[:-5], "this line is not a record: it is unfinished"),
    ],
)
def test_an_end_that_does_not_chain_is_trouble(harm: Callable[[bytes], bytes], said: str) -> None:
    record(3)
    installation.LOG.write_bytes(harm(installation.LOG.read_bytes()))
    assert (end().state, said in end().says) == ("trouble", True)


def test_an_end_that_was_cut_off_is_trouble() -> None:
    record(3)
    sign()
    installation.LOG.write_bytes(cut(installation.LOG.read_bytes()))
    assert (end().state, "its end was cut off. Restore it." in end().says) == ("trouble", True)


def test_a_damaged_tree_is_worth_a_note() -> None:
    record(3)
    sign()
    Path("logs/audit_log.tree/hashes.0").write_bytes(b"")
    assert (end().state, "is damaged: the service makes it again from the log" in end().says) == ("note", True)


def test_the_key_is_named() -> None:
    (finding,) = look_at_key(load_settings())
    assert finding.says == f"logs/audit_log.key is the key of {installation.ORIGIN}."


def test_free_locks_are_well_whether_a_service_runs_or_not() -> None:
    (finding,) = look_at_locks(load_settings())
    assert finding.says.endswith("hold and are free; no service runs on this log.")
    with marked_running(installation.LOG):
        (finding,) = look_at_locks(load_settings())
    assert finding.says.endswith("hold and are free; a service runs on this log.")


@pytest.mark.parametrize("name", ["audit_log.jsonl.lock", "audit_log.jsonl.sync"])
def test_a_lock_that_is_held_is_trouble(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(doctor_log, "WAIT_SECONDS", 0.1)
    fd = os.open(Path("logs") / name, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        (finding,) = look_at_locks(load_settings())
    finally:
        os.close(fd)
    assert (finding.state, f"logs/{name} was locked" in finding.says) == ("trouble", True)


def test_the_last_line_is_found() -> None:
    record(3)
    assert last_line(load_settings()) == installation.LOG.read_bytes().splitlines(keepends=True)[-1]
