"""Every refusal is recorded: singly up to a bound for each principal or address, past it counted and summed up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ..errors import AuditUnavailable
from .audit.log import AuditLog
from .events import SecurityLog

SUMMARY_SECONDS = 60
MAX_KEYS = 1_000
"""Distinct (who, code) pairs counted between two summaries; the rest share one count, so that memory is bounded."""
MAX_ROWS = 100


class RefusalRecorder:
    """Writes `request.refused` and `ask.refused`. *admit* says whether a key may have one more record this minute."""

    def __init__(
        self, audit: AuditLog, events: SecurityLog, admit: Callable[[str], bool], network_of: Callable[[str], str]
    ) -> None:
        """*network_of*: what counts as one address, so that a subscriber of IPv6 is not a new one with every refusal."""
        self._audit, self._events, self._admit, self._network_of = audit, events, admit, network_of
        self._counted: Counter[tuple[str | None, str | None, str]] = Counter()

    async def record(self, *, user_id: str | None, request_id: str, details: Mapping[str, Any], policy: bool = False) -> None:
        """Durable on return, counted for the summary, or (the log cannot be written) counted by the log as refused.

        *policy*: a proven principal was refused by policy, hence `ask.refused`.
        """
        address, code = details.get("address"), str(details["code"])
        network = self._network_of(str(address))
        key = f"user:{user_id}" if user_id else f"address:{network}"
        if not self._admit(key):
            row = (user_id, None if user_id else network, code)
            self._counted[row if row in self._counted or len(self._counted) < MAX_KEYS else (None, None, "other")] += 1
            return
        event = {name: details[name] for name in ("status", "method", "route", "reason") if details.get(name) is not None}
        self._events.event(code, level="WARNING", user_id=user_id, address=address, request_id=request_id, **event)
        action = "ask.refused" if policy else "request.refused"
        with suppress(AuditUnavailable):
            await self._audit.record(action, user_id=user_id, request_id=request_id, details=details)

    async def summarise(self) -> None:
        """One record of all that was counted since the last, if anything was. What cannot be written stays counted."""
        counted, self._counted = self._counted, Counter()
        if not counted:
            return
        rows = counted.most_common(MAX_ROWS)
        refusals = [
            {
                **({"user_id": user} if user else {}),
                **({"address": address} if address else {}),
                "code": code,
                "count": n,
            }
            for (user, address, code), n in rows
        ]
        total = sum(counted.values())
        others = total - sum(n for _, n in rows)
        details = {"total": total, "refusals": refusals, "others": others}
        try:
            await self._audit.record("request.refused_summary", user_id=None, details=details)
        except AuditUnavailable:
            self._counted.update(counted)
        else:
            self._events.event("refusals_summed_up", level="WARNING", total=total)

    async def summarise_forever(self) -> None:
        """Runs until cancelled; the caller then writes the last summary."""
        while True:
            await asyncio.sleep(SUMMARY_SECONDS)
            await self.summarise()
