"""`python -m bench.ledger`: durable records a second of 1, 2 and 4 nodes on PostgreSQL, beside as many processes on the file.

Each node is one process with 64 callers. Rounds are interleaved; medians. With a synchronous standby as well.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore
from tests.support.ledger import ROLE, new_ledger
from tests.support.postgres_server import PostgresServer

from .machine import describe_machine
from .process import ROOT
from .write_ledger import Timed
from .writers import Writers, writing

NODES, CALLERS = (1, 2, 4), 64
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Target:
    """Where the nodes write, and what the server behind it has used of the CPU, in seconds."""

    name: str
    place: str
    server_cpu: Callable[[], float]


def open_targets(folder: Path, opened: ExitStack) -> list[Target]:
    file = folder / "audit_log.jsonl"
    store = JsonlStore(file)
    AuditLog(store).create({"origin": "bench"})
    store.close()
    alone, primary = opened.enter_context(PostgresServer()), opened.enter_context(PostgresServer())
    opened.enter_context(primary.standby())
    targets = [Target("the file", str(file), lambda: 0.0)]
    for name, server in (("PostgreSQL", alone), ("PostgreSQL, standby", primary)):
        url = server.url(new_ledger(server), ROLE)
        with closing(PostgresStore(LedgerPlace(url))) as ledger:
            AuditLog(ledger).create({"origin": "bench"})
        targets.append(Target(name, url, lambda server=server: sum(map(_cpu_of, server.children()))))  # type: ignore[misc]
    return targets


def _cpu_of(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def burst(target: Target, nodes: int, seconds: float, log: Path) -> list[float]:
    """Records a second, p50 and p99 in ms, and µs of CPU a record: of the nodes, of the server."""
    command = [sys.executable, "-m", "bench.write_ledger", target.place]
    with writing(Writers(target.name, command, processes=nodes, log=log)) as writers:
        writers.parts(nodes * 4, 0.1, Timed)  # connects
        before = target.server_cpu()
        parts = writers.parts(nodes * CALLERS, seconds, Timed)
        server = target.server_cpu() - before
    records = sum(part.records for part in parts)
    p50, p99 = statistics.mean(part.p50 for part in parts), max(part.p99 for part in parts)
    cpu = sum(part.cpu for part in parts)
    return [records / seconds, 1e3 * p50, 1e3 * p99, 1e6 * cpu / records, 1e6 * server / records]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    found: dict[tuple[int, str], list[list[float]]] = defaultdict(list)
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "logs")))
        machine, targets = describe_machine(folder), open_targets(folder, opened)
        for _ in range(given.rounds):
            for nodes in NODES:
                for target in targets:
                    found[nodes, target.name].append(burst(target, nodes, given.seconds, folder / "writers.log"))
    print(f"{machine.measured_at}, {machine.processor}, {machine.cores} cores, load before: {machine.load_before:.1f}")
    print(f"{CALLERS} callers a node; medians of {given.rounds} rounds of {given.seconds} s\n")
    print(f"{'nodes':<6}{'':<22}{'records/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'us/record':>11}{'server':>8}")
    for (nodes, name), rounds in found.items():
        medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
        rate, p50, p99, cpu, server = medians
        print(f"{nodes:<6}{name:<22}{rate:>10,.0f}{p50:>9.2f}{p99:>9.2f}{cpu:>11.1f}{server:>8.1f}")


if __name__ == "__main__":
    main()
