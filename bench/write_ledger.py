"""A node's process under many callers: `python -m bench.write_ledger FILE|postgresql://…`; latency and CPU too."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import uvloop

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore
from app.audit.storage.store import AuditStore

from .burst import Burst, Written, obey
from .records import ASKED, answered


@dataclass(frozen=True)
class Timed(Written):
    p50: float = 0.0
    """Seconds from handing in a record until it is durable."""
    p99: float = 0.0
    cpu: float = 0.0
    """Seconds of this process."""


async def record(log: AuditLog, burst: Burst) -> list[float]:
    """The seconds of each record that was acknowledged within *burst*."""
    took: list[float] = []

    async def caller() -> None:
        received = 0
        while time.monotonic() < burst.end:
            for action, details in (("ask.received", ASKED), ("ask.answered", answered(received))):
                began = time.monotonic()
                received = (await log.record(action, user_id="bench", details=details)).seq
                if time.monotonic() < burst.end:
                    took.append(time.monotonic() - began)

    async with log:
        burst.wait()  # nothing else runs on this loop yet
        await asyncio.gather(*(caller() for _ in range(burst.callers)))
    return took


def open_place(place: str) -> AuditStore:
    return PostgresStore(LedgerPlace(place, node="bench")) if "://" in place else JsonlStore(Path(place))


def main(place: str) -> None:
    log = AuditLog(open_place(place))

    def run(burst: Burst) -> Written:
        before = resource.getrusage(resource.RUSAGE_SELF)
        took = sorted(uvloop.run(record(log, burst)))
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        p50, p99 = (took[len(took) * share // 100] if took else 0.0 for share in (50, 99))
        return Timed(len(took), 0, 0, p50, p99, cpu)

    gc.collect()
    gc.freeze()  # as `serve` does
    obey(run)


if __name__ == "__main__":
    main(sys.argv[1])
