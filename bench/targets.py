"""The speed targets, each with the figure that this run measured. They inform; they fail nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .audit import OURS, AuditFigures, median_rates
from .rounds import Cell, medians
from .startup import StartupFigures
from .streams import MANY, StreamCell, stream_medians

SHARE_OF_RAW = {64: 25, 256: 15}
"""Number of callers, and the least percentage of the disk's own rate for batches of that size."""
TIMES_AEGIS = 10
PROCESSES = {"log": "1 process", "log-4": "4 processes"}


@dataclass(frozen=True)
class Target:
    """One target and the measured figure."""

    name: str
    wanted: str
    measured: float
    unit: str
    met: bool


@dataclass(frozen=True)
class Weight:
    """What a server costs without any question. Memory is measured after the load."""

    server: str
    ready_seconds: float
    pss_bytes: int
    worker_rss_bytes: int


def service_targets(cells: Sequence[Cell], weights: Sequence[Weight]) -> Iterator[Target]:
    figures = {(cell.server, cell.clients): cell for cell in medians(cells)}
    ours = {clients: cell for (server, clients), cell in figures.items() if server == "service"}
    for server, endpoint, least in (("service", "/ask", 10), ("chat", "/v1", 12)):
        for clients in (16, 64):
            mine, peer = figures.get((server, clients)), figures.get(("litellm", clients))
            if mine and peer and peer.per_second:
                ratio = mine.per_second / peer.per_second
                yield _least(f"{endpoint}: requests/s against LiteLLM, {clients} clients", least, ratio, "times")
    for clients, cell in ours.items():
        if cell.cpu_ms is None or clients == 1:
            continue
        if (before := figures.get(("before", clients))) and before.cpu_ms:
            yield _most(f"CPU a question, of the service before, {clients} clients", 40, 100 * cell.cpu_ms / before.cpu_ms, "%")
        if (bare := figures.get(("starlette", clients))) and bare.cpu_ms:
            yield _most(f"CPU a question, of a bare forwarder, {clients} clients", 2, cell.cpu_ms / bare.cpu_ms, "times")
    if 1 in ours and (p50 := ours[1].p50_ms) is not None:
        yield _most("p50, 1 client", 1.2, p50, "ms")
    if 64 in ours and (p99 := ours[64].p99_ms) is not None:
        yield _most("p99, 64 clients", 150, p99, "ms")
    for weight in weights:
        if weight.server == "service":
            yield _most("ready after start, one worker", 1.5, weight.ready_seconds, "s")
            yield _most("memory of all its processes (PSS)", 100, weight.pss_bytes / 1e6, "MB")


def stream_targets(cells: Sequence[StreamCell]) -> Iterator[Target]:
    """One target for each arrival of chunks, since chunks that arrive together cost less."""
    figures = {(cell.server, cell.scene): cell for cell in stream_medians(cells)}
    for (server, scene), cell in figures.items():
        if server == "service" and scene.clients == MANY and cell.cpu_us:
            what = f"chunks {scene.name}, {MANY} clients"
            yield _most(f"CPU a chunk, {what}", 80, cell.cpu_us, "us")
            if (peer := figures.get(("litellm", scene))) and peer.cpu_us:
                yield _least(f"CPU a chunk against LiteLLM, {what}", 5, peer.cpu_us / cell.cpu_us, "times less")


def audit_targets(audit: AuditFigures) -> Iterator[Target]:
    rates = {(rate.callers, rate.writer): rate for rate in median_rates(audit.rates)}
    for callers, share in SHARE_OF_RAW.items():
        for writer in OURS:
            ours, raw, aegis = (rates.get((callers, name)) for name in (writer, "raw", "aegis"))
            what = f"durable records, {callers} callers, {PROCESSES[writer]}"
            if ours and raw and raw.per_second:
                yield _least(f"{what}, of the raw limit", share, 100 * ours.per_second / raw.per_second, "%")
            if ours and aegis and aegis.per_second:
                yield _least(f"{what}, against aegis-latent-core", TIMES_AEGIS, ours.per_second / aegis.per_second, "times")
    late = [rate.signed_after for rate in rates.values() if rate.signed_after is not None]
    if late:
        yield _most("checkpoint after the last record, at worst", 1, max(late), "s")
    yield _least("verified records a core, with tree", 150_000, audit.verified_per_second, "/s")


def startup_targets(startup: StartupFigures) -> Iterator[Target]:
    yield _most(f"ready after start, {startup.records:,} records", 3, startup.ready_seconds, "s")


def _least(name: str, least: float, measured: float, unit: str) -> Target:
    return Target(name, f"at least {least:,g} {unit}", measured, unit, measured >= least)


def _most(name: str, most: float, measured: float, unit: str) -> Target:
    return Target(name, f"at most {most:,g} {unit}", measured, unit, measured <= most)
