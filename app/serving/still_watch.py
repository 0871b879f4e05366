"""Which child stands still: its event loop does not move, and the process uses no CPU."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from .child import Child

STILL_SECONDS = 2.0
"""Without a heartbeat, and without CPU time for half of it. A busy process is left alone."""
STOPPED_SECONDS = 1.0
"""Without a heartbeat, if the process is stopped by a signal: it waits for no core."""
BUSY_SECONDS = 60.0
"""Without a heartbeat, however busy: a loop that never ends, or a debugger that holds it."""
LATE_SECONDS = 0.5
"""If two looks are further apart, this process stood still itself, as in a suspended machine."""
STOPPED = "T"
BUSY = ("R", "t")
"""It has a core or waits for one; or a debugger or strace holds it, which makes it slow."""
IDLE_SHARE = 0.05
"""A process that uses less than this share of the time counts as idle."""
TICKS = os.sysconf("SC_CLK_TCK")


class StillWatch:
    """Names one child at a time: the next one only after the successor of the last is ready."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked = self._late = clock()
        self._suspects: dict[int, tuple[float, float]] = {}  # pid: since when it has used how much CPU time
        self._replaced: Child | None = None

    def look(self, children: Mapping[str, Child]) -> tuple[str, float] | None:
        """The name of a child to replace, and for how long it stood still. Call it all the time."""
        now = self._clock()
        if now - self._looked > LATE_SECONDS:
            self._late = now  # then every child gets its full time once more
        self._looked = now
        if self._replaced is not None and not self._replaced.is_ready:
            return None
        self._replaced = None
        for name, child in children.items():
            beaten_at = child.beaten_at
            stood = now - max(beaten_at, self._late) if child.pid and beaten_at else 0.0
            if self._is_still(child.pid, stood, now):
                self._suspects.clear()
                self._replaced = child
                return name, now - beaten_at
        return None

    def _is_still(self, pid: int, stood: float, now: float) -> bool:
        if stood < STOPPED_SECONDS:
            self._suspects.pop(pid, None)
            return False
        state, used = cpu_seconds(pid)
        if state == STOPPED:
            return True
        since, used_then = self._suspects.setdefault(pid, (now, used))
        if state in BUSY or used - used_then > IDLE_SHARE * max(now - since, 1.0):
            self._suspects[pid] = now, used
            return stood > BUSY_SECONDS
        return stood > STILL_SECONDS and now - since >= STILL_SECONDS / 2


def cpu_seconds(pid: int) -> tuple[str, float]:
    """The state of the main thread (proc_pid_stat(5)), and the process's CPU time so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return "", 0.0
    return fields[0], (int(fields[11]) + int(fields[12])) / TICKS
