"""The audit log alone: durable records a second against what the disk gives at best, and verified records a second."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from app.security.audit.entry import Head
from app.security.audit.jsonl import JsonlStore
from app.security.audit.log import AuditLog
from app.security.audit.store import Batch, Build, Recovery

CALLERS = 64
VERIFY_PASSES = 3
RECORDS: tuple[tuple[str, Mapping[str, Any]], ...] = (  # the two of a question, as large as the service writes them
    (
        "ask.received",
        {
            "query": "What does a hash chain prove, and what does it not? (no. 417)",
            "roles": ["ai.playground.user"],
            "model": "gpt-4o-mini",
            "address": "127.0.0.1",
            "upstream_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        },
    ),
    (
        "ask.answered",
        {
            "received": 417,
            "answer": "echo: 9f86d081884c7d65",
            "model": "gpt-4o-mini",
            "usage": {"input_tokens": 12, "output_tokens": 7},
            "elapsed_ms": 3,
            "attempts": 1,
        },
    ),
)


@dataclass(frozen=True)
class AuditFigures:
    """Medians of the rounds; all rates in records a second."""

    single_per_second: float
    """One caller: each record waits for a sync of its own."""
    durable_per_second: float
    """CALLERS callers, group commit."""
    batch_records: float
    """Records that shared one sync, on average, with CALLERS callers."""
    raw_per_second: float
    """pwrite + fdatasync of CALLERS records' bytes at a time, nothing else: what the disk gives at best."""
    record_bytes: float
    verified_per_second: float
    """Records of that log for each CPU second of one core: bytes, links and digests, user and system time."""
    verified_records: int


class CountingStore(JsonlStore):
    """The real store, which also counts what it is handed."""

    batches = 0
    written = 0

    def append(self, build: Build) -> None:
        def counted(head: Head, recovered: tuple[Recovery, ...]) -> Batch:
            batch = build(head, recovered)
            self.batches += 1
            self.written += len(batch.data)
            return batch

        super().append(counted)


def measure_audit(folder: Path, *, rounds: int, seconds: float, progress: Callable[[str], None]) -> AuditFigures:
    """Measure in *folder*, which must be on a real disk. *seconds* for each of three parts of each round."""
    store = CountingStore(folder / "audit_log.jsonl")
    log = AuditLog(store)
    log.create({})
    single, grouped, raw, batch_records = [], [], [], []
    for number in range(1, rounds + 1):
        progress(f"audit log, round {number} of {rounds}")
        single.append(uvloop.run(_record(log, 1, seconds)) / seconds)
        batches, written = store.batches, store.written
        records = uvloop.run(_record(log, CALLERS, seconds))
        grouped.append(records / seconds)
        batch_records.append(records / (store.batches - batches))
        record_bytes = (store.written - written) / records
        raw.append(CALLERS * _syncs_per_second(folder, round(CALLERS * record_bytes), seconds))
    progress("audit log, verification")
    verified = [_verify(log) for _ in range(VERIFY_PASSES)]
    log.close()
    return AuditFigures(
        single_per_second=statistics.median(single),
        durable_per_second=statistics.median(grouped),
        batch_records=statistics.median(batch_records),
        raw_per_second=statistics.median(raw),
        record_bytes=record_bytes,
        verified_per_second=statistics.median(rate for rate, _ in verified),
        verified_records=verified[-1][1],
    )


async def _record(log: AuditLog, callers: int, seconds: float) -> int:
    """Records acknowledged within *seconds* to *callers* that each wait for one before handing in the next."""
    acknowledged = 0

    async def caller() -> None:
        nonlocal acknowledged
        while True:
            for action, details in RECORDS:
                await log.record(action, user_id="bench", details=details)
                if time.perf_counter() >= end:
                    return
                acknowledged += 1

    async with log:
        end = time.perf_counter() + seconds
        await asyncio.gather(*(caller() for _ in range(callers)))
    return acknowledged


def _syncs_per_second(folder: Path, size: int, seconds: float) -> float:
    """How often *size* bytes can be appended and synced, on a file of its own."""
    data, offset, done = os.urandom(size), 0, 0
    with _scratch(folder / "raw.bin") as fd:
        start = time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            offset += os.pwrite(fd, data, offset)
            os.fdatasync(fd)
            done += 1
    return done / elapsed


@contextmanager
def _scratch(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
        path.unlink()


def _verify(log: AuditLog) -> tuple[float, int]:
    before = os.times()
    verdict = log.verify()
    after = os.times()
    if not verdict.ok:
        raise AssertionError("The log that was just measured does not verify.")
    spent = sum(after[:4]) - sum(before[:4])
    return verdict.entries / spent, verdict.entries
