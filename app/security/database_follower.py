"""Follows the client database: what was changed in it, and whether it is still the same one.

Nothing of ours deletes a revocation before it expires, or lowers the generation. So another
file or server, a lower generation and a lost revocation all mean that the database was replaced.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from ..errors import AuditUnavailable, Unavailable
from .clients.store import ClientStore
from .models import Revocations
from .replacement_notice import ReplacementNotice
from .security_log import SecurityLog
from .surviving_revocations import SurvivingRevocations

LOG = logging.getLogger("app.security")
Record = Callable[[str | None, str, Mapping[str, Any]], Awaitable[object]]


class DatabaseFollower:
    """For one process. Each method raises Unavailable where the database cannot be used."""

    def __init__(
        self,
        clients: ClientStore,
        record: Record,
        events: SecurityLog,
        notice: ReplacementNotice,
        token_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self._clients, self._record, self._events, self._notice = clients, record, events, notice
        self._token_seconds, self._now = token_seconds, now
        self._kept, self._fresh = SurvivingRevocations(), Revocations(0, frozenset(), frozenset())
        self._unstored = self._has_logged = False
        self._unrecorded: dict[str, Any] | None = None
        self.replacements = 0
        """How often this process found another database in place of its own."""

    async def load(self) -> Revocations:
        """At the start of the process, and whenever something was changed."""
        self._fresh = await self._clients.current_revocations()
        if self._notice.is_first_to_see(self._clients.place.identity()):  # it was replaced while this process started
            self._report(self._clients.place.what, None, SurvivingRevocations())
        return self._kept.over(self._fresh, self._now())

    async def follow(self, known: Revocations) -> Revocations:
        """What applies now, after *known*. Cheap while nothing changes: a stat and one row."""
        place = self._clients.place
        if not await self._clients.is_same():
            identity = place.identity()
            await self._clients.reopen()
            fresh = await self._clients.current_revocations()
            place.accept(identity)
            is_first = self._notice.is_first_to_see(identity)
            applies = self._replaced(known, fresh, place.what, is_first)
            await self._finish()  # at once: later it would hide that what another worker wrote is deleted again
            return applies
        await self._finish()
        if await self._clients.generation() == self._fresh.generation:
            return known
        fresh, now = await self._clients.current_revocations(), self._now()
        lost = any(at > now and jti not in fresh.revoked for jti, at in self._fresh.expiries.items())
        if lost or fresh.generation < self._fresh.generation:
            is_first = self._notice.is_first_to_see_content(fresh.generation)
            return self._replaced(known, fresh, "older content", is_first)
        self._kept = self._kept.without_decided(self._fresh, fresh)
        self._fresh = fresh
        return self._kept.over(fresh, now)

    def _replaced(self, known: Revocations, fresh: Revocations, how: str, is_first: bool) -> Revocations:
        self.replacements += 1
        before, self._fresh, now = self._fresh, fresh, self._now()
        longest = max([self._token_seconds, *(one.token_seconds or 0 for one in known.settings.values())])
        self._kept = self._kept.after(known, fresh, now, now + longest)
        self._unstored = bool(self._kept.revoked or self._kept.disabled)
        self._has_logged = False
        if is_first:
            self._report(how, before.generation, self._kept)
        self._notice.note_kept(len(self._kept), self._kept.ends_at)
        return self._kept.over(fresh, now)

    def _report(self, how: str, generation_before: int | None, kept: SurvivingRevocations) -> None:
        LOG.critical("The client database was replaced while it was in use (%s).", how)
        self._events.event("database_replaced", level="CRITICAL", how=how, kept=len(kept))
        self._unrecorded = {
            "how": how,
            "generation": self._fresh.generation,
            "generation_before": generation_before,
            "kept_revoked": len(kept.revoked),
            "kept_disabled": len(kept.disabled),
        }

    async def _finish(self) -> None:
        """Write down what is not written yet: in the database what it lacks, in the log that."""
        if self._unstored:
            try:
                await self._clients.keep_refused(self._kept.revoked, self._kept.disabled)
                self._unstored = False
                self._fresh = await self._clients.current_revocations()
            except Unavailable as error:
                if not self._has_logged:
                    LOG.error("Revocations that the database lacks are kept in memory only: %s", error.detail)
                self._has_logged = True
        if self._unrecorded is not None:
            try:
                await self._record(None, "database.replaced", self._unrecorded)
                self._unrecorded = None
            except AuditUnavailable:
                pass
