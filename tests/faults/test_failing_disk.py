"""Appends to a disk that fails at each call in turn: no acknowledged record is lost, nothing else remains."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.record import Receipt, draft
from app.audit.storage.append import append
from app.errors import AppError

from ..support.checked import chain_report
from ..support.forgetful_disk import ForgetfulDisk
from ..support.optional import leave_out
from ..support.paths import ROOT
from ..support.replaced_os import replaced_os
from ..support.stores import open_store, opened_log


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def verify(path: Path, *receipts: Receipt) -> None:
    with opened_log(path) as log:
        assert chain_report(log, receipts).findings == []


def recover(path: Path) -> None:
    with opened_log(path) as log:
        log.recover()


# --- a disk that forgets what was not synced, at every call in turn ------------------------------


def work_on(path: Path, disk: ForgetfulDisk) -> list[Receipt]:
    """Append until something fails, then go on as several callers would. Returns what was acknowledged."""
    store, acknowledged = open_store(path), []
    with replaced_os(disk):
        for number in range(8):
            drafts = [draft("log.alive", None, {"n": number, "text": "x" * (700 * number)}) for _ in range(number % 3 + 1)]
            try:
                acknowledged += append(store.append, drafts)
            except AppError:
                store.close()
                store = open_store(path)  # as another process
        store.close()
    return acknowledged


def new_log(path: Path) -> Receipt:
    with opened_log(path) as log:
        return log.create({"origin": "test"})


def disk_of(path: Path, **how: Any) -> ForgetfulDisk:
    return ForgetfulDisk(path, durable=bytearray(path.read_bytes()), **how)


def lose_power(path: Path, disk: ForgetfulDisk) -> None:
    """Drop what was not synced; the mark keeps its newest value."""
    path.write_bytes(disk.durable)


def failing(first: int, how: str) -> frozenset[int]:
    times = {"once": 1, "twice": 2, "three times": 3, "for ever": 10_000}[how]
    return frozenset(range(first, first + times))


@pytest.mark.parametrize("persisted", [False, True], ids=["not persisted", "persisted all the same"])
@pytest.mark.parametrize("how", ["once", "twice", "three times", "for ever"])
def test_whichever_call_fails_acknowledged_records_survive_a_power_loss(tmp_path: Path, how: str, persisted: bool) -> None:
    counted = tmp_path / "counted.jsonl"
    new_log(counted)
    disk = disk_of(counted)
    assert len(work_on(counted, disk)) == 15
    for first in range(disk.calls):
        path = tmp_path / f"{first}.jsonl"
        opened = new_log(path)
        faulty = disk_of(path, fail=failing(first, how), persisted=persisted)
        receipts = [opened, *work_on(path, faulty)]
        lose_power(path, faulty)
        recover(path)
        verify(path, *receipts)


def test_a_sync_that_fails_once_is_repaired_unnoticed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    new_log(path)
    disk = disk_of(path, fail=frozenset({1}))  # write, sync
    assert len(work_on(path, disk)) == 15
    assert bytes(disk.durable) == path.read_bytes()


def test_a_sync_that_always_fails_acknowledges_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    opened = new_log(path)
    before = path.read_bytes()
    disk = disk_of(path)
    monkeypatch.setattr(ForgetfulDisk, "fdatasync", always_fails)
    assert work_on(path, disk) == []
    assert path.read_bytes() == before
    verify(path, opened)


def always_fails(disk: ForgetfulDisk, fd: int) -> None:
    disk.dirty.clear()
    raise OSError(5, "injected")


# --- strace: real system calls that fail or kill -------------------------------------------------

APPENDER = """
import sys
from pathlib import Path
from app.errors import AppError
from app.audit.storage.append import append
from app.audit.format.record import draft
from app.audit.storage.jsonl import JsonlStore
store = JsonlStore(Path(sys.argv[1]))
for n in range(10):
    try:
        receipt, = append(store.append, [draft("log.alive", None, {"n": n})])
        print(f"{receipt.seq}:{receipt.hash}", flush=True)
    except AppError as error:
        print(error.code, flush=True)
"""


def traced(path: Path, inject: str) -> tuple[list[Receipt], list[str]]:
    """Ten appends in their own process under `strace -e inject`: what was acknowledged, what was refused."""
    if not shutil.which("strace"):
        leave_out("strace is missing, real system calls were not made to fail (Debian: apt-get install strace)")
    what = ["-e", f"trace={inject.split(':')[0]}", "-e", f"inject={inject}"]
    command = ["strace", "-qq", "-o", "/dev/null", "-P", str(path), *what, sys.executable, "-c", APPENDER, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if "PTRACE" in done.stderr or "ptrace" in done.stderr:
        leave_out("strace may not trace here")
    said = done.stdout.split()
    receipts = [Receipt(int(one.split(":")[0]), one.split(":")[1]) for one in said if ":" in one]
    return receipts, [one for one in said if ":" not in one]


@pytest.mark.parametrize(
    ("inject", "refused"),
    [
        ("fdatasync:error=EIO:when=3", 0),
        ("fdatasync:error=EIO:when=3+", 8),
        ("fdatasync:error=EIO:when=3..4", 1),
        ("pwrite64:error=ENOSPC:when=4", 1),
        ("pwrite64:error=EDQUOT:when=2+", 9),
        ("pwrite64:retval=10:when=4", None),
    ],
)
def test_a_system_call_that_fails_refuses_its_callers_and_no_others(tmp_path: Path, inject: str, refused: int | None) -> None:
    """With retval the kernel reports ten bytes written but writes none, so the record is torn without an error."""
    path = tmp_path / "log.jsonl"
    new_log(path)
    acknowledged, codes = traced(path, inject)
    if refused is None:
        assert len(acknowledged) + len(codes) == 10
        return
    assert (len(codes), set(codes) - {"audit_unavailable"}) == (refused, set())
    recover(path)
    verify(path, *acknowledged)
    assert len(lines(path)) == 1 + len(acknowledged) == 11 - refused


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
@pytest.mark.parametrize("when", [1, 4, 10])
def test_a_writer_killed_at_a_system_call_loses_nothing_acknowledged(tmp_path: Path, call: str, when: int) -> None:
    path = tmp_path / "log.jsonl"
    new_log(path)
    acknowledged, codes = traced(path, f"{call}:signal=SIGKILL:when={when}")
    assert (len(acknowledged), codes) == (when - 1, [])
    recover(path)
    verify(path, *acknowledged)
    assert len(lines(path)) in (when, when + 1)  # the record being written may be there
