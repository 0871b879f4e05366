"""How long the service takes to start on a long, generated log, and how long that log takes to verify."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.audit.format.chain import link
from app.audit.format.record import Draft, LogEnd, draft
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.store import Batch, Recovery
from app.kit.moments import now_utc

from .notary import notary_command, wait_until_signed
from .process import ROOT, Process, ServerFailed, running
from .records import ASKED, answered
from .service import run_app, set_up

BATCH_RECORDS = 20_000
STARTS = 5
NOWHERE = "http://127.0.0.1:9/v1"  # no question is sent


@dataclass(frozen=True)
class StartupFigures:
    records: int
    log_bytes: int
    ready_seconds: float
    """Seconds from exec to the first 200 of /readyz; the median of STARTS."""
    ready_seconds_small: float
    """The same on a log of a few records, interleaved: the part that does not depend on length."""
    first_head_seconds: float
    """Seconds from exec to a checkpoint over the first record after the start, that of a token; the median."""
    verify_seconds: float
    """Seconds of a complete `audit verify`, from exec to its end."""


def measure_startup(folder: Path, *, records: int, progress: Callable[[str], None]) -> StartupFigures:
    service, small = set_up(folder / "startup", NOWHERE), set_up(folder / "small", NOWHERE)
    _generate(service.log, records, progress)
    ready, ready_small, signed = [], [], []
    for number in range(1, STARTS + 1):
        progress(f"start {number} of {STARTS} on {records:,} records")
        with small.served() as (_, _, seconds):
            ready_small.append(seconds)
        with service.served() as (process, port, seconds):
            ready.append(seconds)
            service.token(port)
            wait_until_signed(service.log)
            signed.append(time.perf_counter() - process.started)
    progress(f"verifying {records:,} records")
    begin = time.perf_counter()
    verdict = json.loads(run_app(service.folder, service.env, "audit", "verify", "--json", timeout=3600))
    verify_seconds = time.perf_counter() - begin
    if verdict["entries"] < records:
        raise ServerFailed(f"audit verify saw {verdict['entries']} records of {records}.")
    return StartupFigures(
        records=verdict["entries"],
        log_bytes=service.log.stat().st_size,
        ready_seconds=statistics.median(ready),
        ready_seconds_small=statistics.median(ready_small),
        first_head_seconds=statistics.median(signed),
        verify_seconds=verify_seconds,
    )


def _generate(log: Path, records: int, progress: Callable[[str], None]) -> None:
    """Generate a log of *records* with tree and checkpoint; the notary process runs beside it, on a second core if any."""
    notary = Process("notary", notary_command(log), cwd=ROOT, env={}, log=log.with_suffix(".notary"))
    with running(notary):
        _fill(log, records, progress)
        progress(f"building the tree over {records:,} records")
        wait_until_signed(log, timeout_seconds=60 + records / 10_000)


def _fill(log: Path, records: int, progress: Callable[[str], None]) -> None:
    """Append to the log until it has *records*, as the service does, but many at a time."""
    store = JsonlStore(log)
    while (head := store.durable()) is not None and head.seq + 1 < records:
        count = min(BATCH_RECORDS, records - head.seq - 1)
        if head.seq // BATCH_RECORDS % 25 == 0:
            progress(f"generating records: {head.seq + 1:,} of {records:,}")

        def build(head: LogEnd, recovered: tuple[Recovery, ...], count: int = count) -> Batch:
            numbers = range(head.seq + 1, head.seq + 1 + count)
            data, _, after = link([_record(number) for number in numbers], head, now_utc())
            return Batch(data, after)

        store.append(build)
    store.close()


def _record(seq: int) -> Draft:
    """Odd numbers are questions; the next record answers them."""
    if seq % 2:
        return draft("ask.received", "bench", ASKED)
    return draft("ask.answered", "bench", answered(seq - 1))
