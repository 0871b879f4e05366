"""The metrics process: shows Prometheus what the workers count, and what the shared memory says."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .. import __version__
from ..api.scoreboard import Scoreboard
from ..kit.process import show_as, wait_for_stop
from ..telemetry.metrics.board import Board
from ..telemetry.metrics.sampling import resident_bytes
from ..telemetry.metrics.server import MetricsServer
from .child import ReadyFlag

Facts = dict[tuple[str, tuple[str, ...]], float]
OTHERS = frozenset({"notary", "index", "metrics"})
"""The names of processes that do not look at themselves."""


def run_metrics(listener: socket.socket, board: object, scoreboard: Scoreboard, node: str, ready: ReadyFlag) -> int:
    """Answer scrapes until the parent sends SIGTERM. *node*: NODE_NAME."""
    show_as("metrics")
    assert isinstance(board, Board)
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # before the threads, which inherit the mask
    server = MetricsServer(listener, board, lambda: facts_of(scoreboard, node) | dict(_memory(parent)))
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    ready.set()
    wait_for_stop(parent)
    return 0


def facts_of(scoreboard: Scoreboard, node: str) -> Facts:
    """What is not on the board of metrics, by name and labels."""
    log = scoreboard.log
    recheck = log.recheck
    facts: dict[str, float | None] = {
        "workers": scoreboard.slots,
        "stopping": scoreboard.is_stopping,
        "limits_counted": not scoreboard.any_uncounted,
        "audit_closed": scoreboard.closed,
        "audit_refused_total": scoreboard.refused,
        "lost_output_messages_total": scoreboard.lost_messages,
        "lost_security_events_total": scoreboard.lost_events,
        "log_sound": log.problem is None,
        "log_head_records": log.size,
        "log_head_age_seconds": log.head_age_seconds,
        "log_signing_behind": log.is_behind,
        "log_signing_stands_still": log.stands_still,
        "log_key_lost": log.is_key_lost,
        "log_verified_age_seconds": log.verified_age_seconds,
        "log_recheck_passes_total": recheck.passes,
        "log_recheck_ratio": recheck.position / recheck.size if recheck.size else None,
    }
    shown: Facts = {(name, ()): float(value) for name, value in facts.items() if value is not None}
    return shown | {("build_info", (__version__, node)): 1.0}


def _memory(parent: int) -> Iterator[tuple[tuple[str, tuple[str, ...]], float]]:
    """Of the parent and of the children that do not tell it themselves."""
    with suppress(OSError):
        yield ("process_resident_memory_bytes", ("parent",)), resident_bytes(str(parent))
        for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            with suppress(OSError):  # it ended meanwhile
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                if name in OTHERS:
                    yield ("process_resident_memory_bytes", (name,)), resident_bytes(pid)
