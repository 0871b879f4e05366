"""What a worker says of itself on the scoreboard while it runs, beside its requests."""

from __future__ import annotations

import asyncio
import logging

from ..audit.log import AuditLog
from ..errors import AuditUnavailable, LimitsUnavailable
from ..limits.rate_limits import Buckets
from ..security.security_log import SecurityLog
from .scoreboard import Slot

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


async def watch_limits(buckets: Buckets, slot: Slot, events: SecurityLog) -> None:
    """Find out, once a second, whether requests can be counted. While not, each one is refused."""
    is_uncounted, folder = False, buckets.shared.path
    while True:
        try:
            buckets.probe()
            reason = None
        except LimitsUnavailable as error:
            reason = str(error.__cause__)
        if is_uncounted != (reason is not None):
            is_uncounted = not is_uncounted
            slot.set_uncounted(is_uncounted)
            if is_uncounted:
                LOG.error("Requests cannot be counted against their limits and are refused: %s (%s).", reason, folder)
                events.event("limits_unavailable", level="ERROR", reason=reason, folder=folder)
            else:
                events.event("limits_back")
        await asyncio.sleep(PROBE_SECONDS)
