"""What a worker says of itself on the scoreboard while it runs, beside its requests."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from ..audit.log import AuditLog
from ..errors import AuditUnavailable, LimitsUnavailable
from ..limits.limits import Limits
from ..security.security_log import SecurityLog
from .scoreboard import ALONE, COUNTED, NOT_COUNTED, Slot

LOG = logging.getLogger("app.api")
BEAT_SECONDS = 0.25
PROBE_SECONDS = 1.0


async def beat_forever(slot: Slot) -> None:
    """The heartbeat. The supervisor replaces a worker that has none: app/serving/still_watch.py."""
    try:
        while True:
            slot.beat()
            await asyncio.sleep(BEAT_SECONDS)
    finally:
        slot.end_beat()


async def record_replacement(slot: Slot, audit: AuditLog, events: SecurityLog) -> None:
    """Record, as soon as the log takes it, that this worker replaces one that stood still."""
    while slot.stood is not None:
        pid, seconds = slot.stood
        try:
            details = {"pid": pid, "reason": "stands_still", "seconds": seconds}
            await audit.record("worker.replaced", user_id=None, details=details)
        except AuditUnavailable:
            await asyncio.sleep(PROBE_SECONDS)
        else:
            events.event("worker_replaced", level="ERROR", pid=pid, seconds=seconds)
            slot.forget_stood()


async def watch_limits(limits: Limits, slot: Slot, events: SecurityLog) -> None:
    """Find out, once a second, whether requests can be counted, and tell it once it changes."""
    counting, outages = COUNTED, limits.outages
    while True:
        await limits.look()
        now, why = _counting(limits)
        if now == COUNTED and counting == COUNTED and limits.outages != outages:
            events.event("limits_interrupted", level="WARNING", times=limits.outages - outages)
        outages = limits.outages
        if now != counting:
            counting = now
            slot.set_counting(now)
            _tell(now, why, events)
        await asyncio.sleep(PROBE_SECONDS)


def _counting(limits: Limits) -> tuple[int, dict[str, Any]]:
    """How requests are counted now, and why not as they should be: for the security log."""
    try:
        limits.buckets.probe()
    except LimitsUnavailable as error:
        return NOT_COUNTED, {"reason": str(error.__cause__), "folder": limits.buckets.shared.path}
    if limits.problem is None:
        return COUNTED, {}
    return (ALONE if limits.counts_alone else NOT_COUNTED), {"reason": f"LIMITS_URL: {limits.problem}"}


def _tell(counting: int, why: dict[str, Any], events: SecurityLog) -> None:
    shown = ", ".join(map(str, why.values()))
    if counting == NOT_COUNTED:
        LOG.error("Requests cannot be counted against their limits and are refused: %s.", shown)
        events.event("limits_unavailable", level="ERROR", **why)
    elif counting == ALONE:
        LOG.warning("This machine counts requests alone, and grants its part of each limit: %s.", shown)
        events.event("limits_alone", level="WARNING", **why)
    else:
        events.event("limits_back")
