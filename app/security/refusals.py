"""Every refusal is recorded: on its own up to bounds, then in summaries.

Single records and the counts of the summaries add up to all refusals, except those counted in a
process that is killed by SIGKILL before its next summary.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ..audit.log import AuditLog
from ..errors import AuditUnavailable
from ..limits.networks import network_of
from .security_log import SecurityLog

SUMMARY_SECONDS = 60
MAX_KINDS = 20_000
"""Kinds of refusal told apart between two summaries, in about 6 MB. The rest share one count."""
MAX_ROWS = 20
"""The most frequent kinds, which one summary names."""

SHOWN = ("status", "method", "route", "reason", "key_id")
"""What a line of the security log takes from a record's details."""


class Kind(NamedTuple):
    """Refusals that are counted together: the same code for the same principal or network."""

    user_id: str | None
    network: str | None
    code: str


OTHER = Kind(None, None, "other")


class RefusalRecorder:
    """Writes `request.refused`, `ask.refused` and `request.refused_summary`."""

    def __init__(self, audit: AuditLog, events: SecurityLog, admit: Callable[[str | None, str], bool]) -> None:
        """*admit* says whether a principal, or a network, may have one more record of its own."""
        self._audit, self._events, self._admit = audit, events, admit
        self._counted: Counter[Kind] = Counter()
        self._summing = asyncio.Lock()

    async def record(self, *, user_id: str | None, request_id: str, details: Mapping[str, Any], policy: bool = False) -> None:
        """Record one refusal, durable on return. Past the bound, or if that fails, count it.

        *policy*: policy refused a proven principal, so the action is `ask.refused`. If the
        caller is cancelled, the record is still written.
        """
        address, code = details.get("address"), str(details["code"])
        network = network_of(str(address))
        kind = Kind(user_id, None if user_id else network, code)
        if not self._admit(user_id, network):
            self._count(kind, 1)
            return
        event = {name: details[name] for name in SHOWN if details.get(name) is not None}
        self._events.event(code, level="WARNING", user_id=user_id, address=address, request_id=request_id, **event)
        action = "ask.refused" if policy else "request.refused"
        await asyncio.shield(self._record(action, {kind: 1}, user_id=user_id, request_id=request_id, details=details))

    def count(self, code: str, address: str) -> None:
        """Count a refusal of what never became a request: it has no record of its own."""
        self._count(Kind(None, network_of(address), code), 1)

    async def summarise(self) -> None:
        """Record all that was counted since the last summary.

        If it cannot be written, it stays counted.
        """
        async with self._summing:
            counted, self._counted = self._counted, Counter()
            if counted and await self._record("request.refused_summary", counted, user_id=None, details=_summary(counted)):
                self._events.event("refusals_summed_up", level="WARNING", total=counted.total())

    async def summarise_forever(self) -> None:
        """Runs until cancelled. A summary that has begun by then is still written."""
        while True:
            await asyncio.sleep(SUMMARY_SECONDS)
            await asyncio.shield(self.summarise())

    async def close(self) -> None:
        """Write the last summary. If that fails, its total is written to the security log only."""
        await self.summarise()
        if self._counted:
            self._events.event("refusals_not_summed_up", level="ERROR", total=self._counted.total())

    async def _record(self, action: str, counted: Mapping[Kind, int], **members: Any) -> bool:
        """Whether the record was written. If not, *counted* is added to the next summary."""
        try:
            await self._audit.record(action, **members)
        except AuditUnavailable:
            for kind, count in counted.items():
                self._count(kind, count)
            return False
        return True

    def _count(self, kind: Kind, count: int) -> None:
        is_counted = kind in self._counted or len(self._counted) < MAX_KINDS
        self._counted[kind if is_counted else OTHER] += count


def _summary(counted: Counter[Kind]) -> dict[str, Any]:
    """How often each code came, from how many networks; the most frequent kinds; the others.

    `networks` is a least number if there were more than MAX_KINDS kinds.
    """
    rows = counted.most_common(MAX_ROWS)
    refusals = [
        {
            **({"user_id": kind.user_id} if kind.user_id else {}),
            **({"address": kind.network} if kind.network else {}),
            "code": kind.code,
            "count": count,
        }
        for kind, count in rows
    ]
    codes = Counter[str]()
    for kind, count in counted.items():
        codes[kind.code] += count
    networks = len({kind.network for kind in counted} - {None})
    total = counted.total()
    others = total - sum(count for _, count in rows)
    return {"total": total, "refusals": refusals, "others": others, "codes": dict(codes), "networks": networks}
