"""The interleaved measurement: A B C A B C …, so that a noisy minute affects all of them; then medians."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace

import orjson

from .job import Job, Outcome
from .peers import Peer, Upstream
from .process import ROOT, ServerFailed


@dataclass(frozen=True)
class Cell:
    """One server with one number of clients: one round, or the medians of all."""

    server: str
    clients: int
    per_second: float
    cpu_ms: float | None
    """User and system time of the server's whole tree, in milliseconds per valid answer."""
    p50_ms: float | None
    p99_ms: float | None
    failures: dict[str, int]


def measure(
    peers: Sequence[Peer],
    upstream: Upstream,
    *,
    clients: Sequence[int],
    rounds: int,
    seconds: float,
    progress: Callable[[str], None],
) -> list[Cell]:
    """All cells of all rounds, in the order measured."""
    for peer in peers:  # warm up: lazy imports and connection pools
        _measure_cell(peer, upstream, max(clients), seconds=0.5)
    cells = []
    for number in range(1, rounds + 1):
        for count in clients:
            for peer in peers:
                progress(f"round {number} of {rounds}: {peer.name}, {count} clients")
                cells.append(_measure_cell(peer, upstream, count, seconds))
    return cells


def medians(cells: Sequence[Cell]) -> list[Cell]:
    """One cell for each server and number of clients; failures are summed."""
    groups: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.server, cell.clients), []).append(cell)
    return [
        Cell(
            server,
            clients,
            statistics.median(cell.per_second for cell in group),
            median_of(cell.cpu_ms for cell in group),
            median_of(cell.p50_ms for cell in group),
            median_of(cell.p99_ms for cell in group),
            dict(sum((Counter(cell.failures) for cell in group), Counter[str]())),
        )
        for (server, clients), group in groups.items()
    ]


def median_of(values: Iterable[float | None]) -> float | None:
    """The median of the known values; None if there is none."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _measure_cell(peer: Peer, upstream: Upstream, clients: int, seconds: float) -> Cell:
    outcome, cpu = run_load(peer, upstream, peer.job(clients, seconds))
    cpu_ms = None if cpu is None else 1000 * cpu
    return Cell(peer.name, clients, outcome.per_second, cpu_ms, outcome.p50_ms, outcome.p99_ms, outcome.failures)


def run_load(peer: Peer, upstream: Upstream, job: Job) -> tuple[Outcome, float | None]:
    """The result, and the CPU seconds of the server's whole tree per valid answer."""
    calls, cpu = upstream.calls(), peer.process.cpu_seconds()
    outcome = _generate(job)
    peer.recover()
    calls, cpu = upstream.calls() - calls, peer.process.cpu_seconds() - cpu
    if calls != outcome.answers and not outcome.failures:  # answers from a cache would not be a measurement
        outcome = replace(outcome, failures={f"{outcome.answers} answers from {calls} upstream calls": 1})
    return outcome, cpu / outcome.answers if outcome.answers else None


def _generate(job: Job) -> Outcome:
    """Run the generator in its own process; it is killed if we are interrupted."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=orjson.dumps(asdict(job)),
        cwd=ROOT,
        capture_output=True,
        timeout=job.warmup + 3 * job.seconds + job.timeout + 20,
        start_new_session=True,
        check=False,
    )
    if done.returncode:
        raise ServerFailed(f"The load generator failed:\n{done.stderr.decode(errors='replace')[-2000:]}")
    return Outcome(**orjson.loads(done.stdout))
