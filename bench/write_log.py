"""Our log under many callers: `python -m bench.write_log LOG`, one process of those that share it."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import uvloop

from app.security.audit.entry import Head
from app.security.audit.jsonl import JsonlStore
from app.security.audit.log import AuditLog
from app.security.audit.store import Batch, Build, Recovery

from .burst import Burst, Written, obey
from .records import RECORDS


class CountingStore(JsonlStore):
    """The real store, which also counts what it is handed."""

    syncs = 0
    written = 0

    def append(self, build: Build) -> None:
        def counted(head: Head, recovered: tuple[Recovery, ...]) -> Batch:
            batch = build(head, recovered)
            self.syncs += 1
            self.written += len(batch.data)
            return batch

        super().append(counted)


async def record(log: AuditLog, burst: Burst) -> int:
    """Records acknowledged within *burst*."""
    acknowledged = 0

    async def caller() -> None:
        nonlocal acknowledged
        while True:
            for action, details in RECORDS:
                await log.record(action, user_id="bench", details=details)
                if time.monotonic() >= burst.end:
                    return
                acknowledged += 1

    async with log:
        burst.wait()  # nothing else runs on this loop yet
        await asyncio.gather(*(caller() for _ in range(burst.callers)))
    return acknowledged


def main(path: Path) -> None:
    store = CountingStore(path)
    log = AuditLog(store)

    def run(burst: Burst) -> Written:
        syncs, written = store.syncs, store.written
        records = uvloop.run(record(log, burst))
        return Written(records, store.syncs - syncs, store.written - written)

    obey(run)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
