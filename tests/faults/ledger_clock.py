"""The clock of the ledger's server is set forward and back under load: recorded, named by doctor, and no head is wrong."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from app.admin import doctor_ledger
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore

from ..support.waiting import eventually
from ..support.wall_clock import ClockedPostgres
from .figures import Figures
from .signers import Signers, records_coming

STEPPED = "SELECT convert_from(line, 'UTF8') FROM audit.lines WHERE position('log.clock_stepped'::bytea IN line) > 0 ORDER BY seq"


def step_clock(folder: Path, *, seconds: int = 3600) -> Figures:
    """An hour forward, then an hour back; three nodes' notary processes sign meanwhile."""
    figures, started = Figures(0, 0, 0.0), time.monotonic()
    with ClockedPostgres() as server:
        signers = Signers(folder, server)

        def steps() -> list[float]:
            found = server.query(STEPPED, database=signers.database)
            return [json.loads(line)["details"]["seconds"] for (line,) in found]

        try:
            with records_coming(signers.place):
                for number, offset in enumerate((seconds, 0)):
                    size, began = signers.look(), time.monotonic()
                    eventually(lambda size=size: signers.look() > size)  # type: ignore[misc]
                    server.clock.set(offset)
                    eventually(lambda count=number + 1: len(steps()) == count)  # type: ignore[misc]
                    size = signers.look()
                    eventually(lambda size=size: signers.all_follow(size))  # type: ignore[misc]
                    figures.ready.append(time.monotonic() - began)
                    said = [finding.says for finding in doctor_ledger._look_at_clock(signers.place)]
                    assert bool(said) == bool(offset), said
                    figures.remarks += said
        finally:
            signers.stop()
        figures.records, figures.answers = signers.check(), len(signers.heads)
        told = steps()
        assert [round(one / seconds, 1) for one in told] == [1.0, -1.0], told
        assert _jumps(signers.place, seconds / 2) == [1, -1]
    figures.remarks.append(f"recorded: {', '.join(f'{one:+,.3f} s' for one in told)}")
    figures.seconds = time.monotonic() - started
    return figures


def _jumps(place: LedgerPlace, least: float) -> list[int]:
    """The directions of all steps of *least* seconds or more between the times of two records that follow each other."""
    with closing(PostgresStore(place)) as store:
        lines = b"".join(store.chunks(store.size())).splitlines()
    times = [datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp() for line in lines]
    apart = [later - earlier for earlier, later in pairwise(times)]
    return [1 if one > 0 else -1 for one in apart if abs(one) >= least]
