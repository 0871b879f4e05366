"""Once a second: is the log still marked as in use, and does the notary process move?"""

from __future__ import annotations

import asyncio
import logging

from ..audit.evidence.health import STILL_SECONDS, LogHealth
from ..audit.storage.running import RunningMark
from ..security.security_log import SecurityLog

LOG = logging.getLogger("app.audit")
WATCH_SECONDS = 1.0


async def watch_health(health: LogHealth, mark: RunningMark, events: SecurityLog, *, reports: bool) -> None:
    """Runs until cancelled. *reports*: this worker reports a notary that stands still."""
    has_reported = False
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        if mark.renew():
            events.event("running_mark_restored", level="WARNING", detail="the file .running of the audit log was removed")
        if reports and health.stands_still != has_reported:
            has_reported = not has_reported
            if has_reported:
                LOG.error("The notary process stands still: nothing is signed, and nobody watches the log.")
                events.event("notary_stands_still", level="ERROR", detail=f"for more than {STILL_SECONDS:.0f} s")
            else:
                events.event("notary_moves_again")
