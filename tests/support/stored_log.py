"""For tests of the storage: write a log and read it back byte by byte."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from app.audit.format.chain import link
from app.audit.format.record import LogEnd, Receipt, draft
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.store import AuditStore, Batch, Build, Recovery
from app.errors import AppError

from .checked import chain_report

STAMP = "2026-11-23T09:15:02.123456Z"


def record(store: AuditStore, *numbers: int, by: str = "test") -> list[Receipt]:
    return append(store.append, [draft("log.alive", None, {"n": n, "by": by}) for n in numbers])


def stored(store: AuditStore) -> bytes:
    return b"".join(store.chunks(store.size()))


def records(store: AuditStore) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stored(store).split(b"\n")[:-1]]


def verify(store: AuditStore, *receipts: Receipt) -> int:
    """Check all records and receipts. Returns the number of records."""
    report = chain_report(AuditLog(store), receipts)
    assert report.findings == []
    return report.entries


def lines_after(end: LogEnd, *details: dict[str, Any]) -> tuple[bytes, list[Receipt], LogEnd]:
    """Records that follow *end*: their lines, their receipts, and the new end."""
    return link([draft("log.alive", None, one) for one in details], end, STAMP)


def building(*details: dict[str, Any], receipts: list[Receipt] | None = None) -> Build:
    """A builder of one record for each of *details*; it adds their receipts to *receipts*."""

    def build(end: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
        data, made, after = lines_after(end, *details)
        if receipts is not None:
            receipts.extend(made)
        return Batch(data, after)

    return build


def at_once(many: int, work: Callable[[int], Any]) -> list[Any]:
    """What *work* returns or raises (AppError) in each of *many* threads that start at the same time."""
    outcomes: list[Any] = [None] * many
    gate = threading.Barrier(many)

    def run(number: int) -> None:
        gate.wait()
        try:
            outcomes[number] = work(number)
        except AppError as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def recording(log: AuditLog, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """*work* on an event loop of its own, while *log* is open."""

    async def main() -> None:
        async with asyncio.timeout(60), log:
            await work()

    asyncio.run(main())
