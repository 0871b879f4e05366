"""Streams through this service, bare Starlette and LiteLLM, and directly from the fake upstream; interleaved, then medians.

The arrival of chunks matters: those that are already there are forwarded together, which costs less than one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .peers import Peer, Upstream
from .rounds import median_of, run_load

CHUNKS = 64
"""Content chunks of each stream."""
MANY = 16


@dataclass(frozen=True)
class Scene:
    """How the upstream writes, and how many clients read."""

    interval: float
    """Seconds between two chunks; 0: all at once."""
    clients: int

    @property
    def name(self) -> str:
        return f"every {1000 * self.interval:g} ms" if self.interval else "at once"


SCENES = (Scene(0, 1), Scene(0, MANY), Scene(0.005, MANY))
"""One client shows what a server adds to the first byte; many show what it costs and how they queue."""


@dataclass(frozen=True)
class StreamCell:
    """One server in one scene: one round, or the medians of all."""

    server: str
    scene: Scene
    per_second: float
    """Complete streams."""
    cpu_us: float | None
    """User and system time of the server's whole tree, in microseconds per content chunk of a complete stream."""
    p50_ms: float | None
    """Time from the question to the end of the stream."""
    first_byte_p50_ms: float | None
    first_byte_p99_ms: float | None
    first_text_p50_ms: float | None
    first_text_p99_ms: float | None
    failures: dict[str, int]


def measure_streams(
    peers: Sequence[Peer], upstream: Upstream, *, rounds: int, seconds: float, progress: Callable[[str], None]
) -> list[StreamCell]:
    """All cells of all rounds, in the order measured. Resets the upstream at the end."""
    cells = []
    try:
        upstream.pace(CHUNKS)
        for peer in peers:  # warm up, as for plain questions
            run_load(peer, upstream, peer.job(MANY, 0.5, CHUNKS))
        for number in range(1, rounds + 1):
            for scene in SCENES:
                upstream.pace(CHUNKS, scene.interval)
                for peer in peers:
                    progress(f"round {number} of {rounds}: streams of {peer.name}, {scene.name}, {scene.clients} clients")
                    cells.append(_measure_cell(peer, upstream, scene, seconds))
    finally:
        upstream.pace(None)
    return cells


def stream_medians(cells: Sequence[StreamCell]) -> list[StreamCell]:
    """One cell for each server and scene, scene by scene; failures are summed."""
    groups: dict[tuple[Scene, str], list[StreamCell]] = {}
    for cell in cells:
        groups.setdefault((cell.scene, cell.server), []).append(cell)
    return [
        StreamCell(
            server,
            scene,
            median_of(cell.per_second for cell in group) or 0.0,
            median_of(cell.cpu_us for cell in group),
            median_of(cell.p50_ms for cell in group),
            median_of(cell.first_byte_p50_ms for cell in group),
            median_of(cell.first_byte_p99_ms for cell in group),
            median_of(cell.first_text_p50_ms for cell in group),
            median_of(cell.first_text_p99_ms for cell in group),
            dict(sum((Counter(cell.failures) for cell in group), Counter[str]())),
        )
        for (scene, server), group in groups.items()
    ]


def _measure_cell(peer: Peer, upstream: Upstream, scene: Scene, seconds: float) -> StreamCell:
    outcome, cpu = run_load(peer, upstream, peer.job(scene.clients, seconds, CHUNKS))
    return StreamCell(
        peer.name,
        scene,
        outcome.per_second,
        None if cpu is None else 1e6 * cpu / CHUNKS,
        outcome.p50_ms,
        outcome.first_byte_p50_ms,
        outcome.first_byte_p99_ms,
        outcome.first_text_p50_ms,
        outcome.first_text_p99_ms,
        outcome.failures,
    )
