"""Every refusal is recorded: singly up to a bound for each principal or address, past it counted and summed up.

Single records and the counts of the summaries add up to what was refused, whatever fails short of a `kill -9`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from ..audit.log import AuditLog
from ..errors import AuditUnavailable
from .security_log import SecurityLog

SUMMARY_SECONDS = 60
MAX_KEYS = 1_000
"""Distinct (who, code) pairs counted between two summaries; the rest share one count, so that memory is bounded."""
MAX_ROWS = 100

Row = tuple[str | None, str | None, str]
"""Who (a user id, else an address) was refused, and the code."""


class RefusalRecorder:
    """Writes `request.refused` and `ask.refused`. *admit* says whether a key may have one more record this minute."""

    def __init__(
        self, audit: AuditLog, events: SecurityLog, admit: Callable[[str], bool], network_of: Callable[[str], str]
    ) -> None:
        """*network_of*: what counts as one address, so that a subscriber of IPv6 is not a new one with every refusal."""
        self._audit, self._events, self._admit, self._network_of = audit, events, admit, network_of
        self._counted: Counter[Row] = Counter()
        self._summing = asyncio.Lock()

    async def record(self, *, user_id: str | None, request_id: str, details: Mapping[str, Any], policy: bool = False) -> None:
        """Durable on return, or counted for the summary: past the bound, and where the log could not be written.

        *policy*: a proven principal was refused by policy, hence `ask.refused`. Who is cancelled while he waits here, at
        the end of the service, leaves the record on its way.
        """
        address, code = details.get("address"), str(details["code"])
        network = self._network_of(str(address))
        row = (user_id, None if user_id else network, code)
        if not self._admit(f"user:{user_id}" if user_id else f"address:{network}"):
            self._count(row, 1)
            return
        event = {name: details[name] for name in ("status", "method", "route", "reason") if details.get(name) is not None}
        self._events.event(code, level="WARNING", user_id=user_id, address=address, request_id=request_id, **event)
        action = "ask.refused" if policy else "request.refused"
        await asyncio.shield(self._record(action, {row: 1}, user_id=user_id, request_id=request_id, details=details))

    async def summarise(self) -> None:
        """One record of all that was counted since the last, if anything was. What cannot be written stays counted."""
        async with self._summing:
            counted, self._counted = self._counted, Counter()
            if counted and await self._record("request.refused_summary", counted, user_id=None, details=_summary(counted)):
                self._events.event("refusals_summed_up", level="WARNING", total=counted.total())

    async def summarise_forever(self) -> None:
        """Runs until cancelled; a summary that is then on its way is still written."""
        while True:
            await asyncio.sleep(SUMMARY_SECONDS)
            await asyncio.shield(self.summarise())

    async def close(self) -> None:
        """The last summary. What it cannot write is told in the security log, and nowhere else."""
        await self.summarise()
        if self._counted:
            self._events.event("refusals_not_summed_up", level="ERROR", total=self._counted.total())

    async def _record(self, action: str, counted: Mapping[Row, int], **members: Any) -> bool:
        """Whether it stands in the log. If it does not, *counted* is what the next summary has to tell instead."""
        try:
            await self._audit.record(action, **members)
        except AuditUnavailable:
            for row, count in counted.items():
                self._count(row, count)
            return False
        return True

    def _count(self, row: Row, count: int) -> None:
        self._counted[row if row in self._counted or len(self._counted) < MAX_KEYS else (None, None, "other")] += count


def _summary(counted: Counter[Row]) -> dict[str, Any]:
    """The commonest rows, and how many refusals the others stand for."""
    rows = counted.most_common(MAX_ROWS)
    refusals = [
        {**({"user_id": user} if user else {}), **({"address": address} if address else {}), "code": code, "count": count}
        for (user, address, code), count in rows
    ]
    total = counted.total()
    return {"total": total, "refusals": refusals, "others": total - sum(count for _, count in rows)}
