"""What a server adds to the time of an upstream that takes its time: questions at 50 ms, interleaved, then medians."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .peers import Peer, Upstream
from .rounds import Cell, measure

DELAY_SECONDS = 0.05
CLIENTS = 32


def measure_delayed(
    peers: Sequence[Peer], upstream: Upstream, *, rounds: int, seconds: float, progress: Callable[[str], None]
) -> list[Cell]:
    """All cells of all rounds, in the order measured, their times with the upstream's own. Resets the upstream at the end."""
    upstream.pace(None, delay=DELAY_SECONDS)
    try:
        return measure(peers, upstream, clients=[CLIENTS], rounds=rounds, seconds=seconds, progress=progress)
    finally:
        upstream.pace(None)
