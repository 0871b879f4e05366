"""Our log under many callers: `python -m bench.write_log LOG`, one of the processes that share it."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from pathlib import Path

import uvloop

from app.audit.format.record import LogEnd
from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.store import Batch, Build, Recovery

from .burst import Burst, Written, obey
from .records import ASKED, answered


class CountingStore(JsonlStore):
    """The real store, which also counts syncs and bytes."""

    syncs = 0
    written = 0

    def append(self, build: Build) -> None:
        def counted(head: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
            batch = build(head, recovered)
            self.syncs += 1
            self.written += len(batch.data)
            return batch

        super().append(counted)


async def record(log: AuditLog, burst: Burst) -> int:
    """Records acknowledged within *burst*."""
    acknowledged = 0

    def is_over() -> bool:
        nonlocal acknowledged
        if time.monotonic() >= burst.end:
            return True
        acknowledged += 1
        return False

    async def caller() -> None:
        over = False
        while not over:
            asked = await log.record("ask.received", user_id="bench", details=ASKED)
            over = is_over()
            await log.record("ask.answered", user_id="bench", details=answered(asked.seq))
            over = over or is_over()

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

    gc.collect()
    gc.freeze()  # as `serve` does
    obey(run)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
