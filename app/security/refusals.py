"""Every refusal is recorded: on its own up to bounds, then in summaries.

Single records and the counts of the summaries add up to all refusals. What is counted is in memory
that all processes share, and one of them writes the summaries for all.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ..audit.log import AuditLog
from ..errors import AuditUnavailable, LimitsUnavailable
from ..limits.networks import network_of
from ..limits.shared_counts import MAX_KINDS, OTHER, Kind, SharedCounts
from .security_log import SecurityLog

SUMMARY_SECONDS = 60
MAX_ROWS = 20
"""The most frequent kinds, which one summary names."""

SHOWN = ("status", "method", "route", "reason", "key_id")
"""What a line of the security log takes from a record's details."""


class RefusalRecorder:
    """Writes `request.refused`, `ask.refused` and `request.refused_summary`."""

    def __init__(
        self,
        audit: AuditLog,
        events: SecurityLog,
        admit: Callable[[str | None, str], bool],
        shared: SharedCounts,
        *,
        sums: bool = True,
        on_refusal: Callable[[str], None] | None = None,
    ) -> None:
        """*admit* says whether a principal, or a network, may have one more record of its own.

        *sums*: this process writes the summaries for all. Each one does when it stops.
        *on_refusal* gets the code of each one.
        """
        self._on_refusal = on_refusal
        self._audit, self._events, self._admit = audit, events, admit
        self._shared, self._sums = shared, sums
        self._kept: Counter[Kind] = Counter()
        """Counted while the shared memory could not be used."""
        self._summing = asyncio.Lock()

    async def record(self, *, user_id: str | None, request_id: str, details: Mapping[str, Any], policy: bool = False) -> None:
        """Record one refusal, durable on return. Past the bound, or if that fails, count it.

        *policy*: policy refused a proven principal, so the action is `ask.refused`. If the
        caller is cancelled, the record is still written.
        """
        address, code = details.get("address"), str(details["code"])
        network = network_of(str(address))
        if self._on_refusal is not None:
            self._on_refusal(code)
        kind = Kind(user_id, None if user_id else network, code)
        if not self._admit(user_id, network):
            self._count({kind: 1})
            return
        event = {name: details[name] for name in SHOWN if details.get(name) is not None}
        self._events.event(code, level="WARNING", user_id=user_id, address=address, request_id=request_id, **event)
        action = "ask.refused" if policy else "request.refused"
        await asyncio.shield(self._record_one(action, kind, user_id=user_id, request_id=request_id, details=details))

    def count(self, code: str, address: str) -> None:
        """Count a refusal of what never became a request: it has no record of its own."""
        if self._on_refusal is not None:
            self._on_refusal(code)
        self._count({Kind(None, network_of(address), code): 1})

    async def summarise(self, *, at_end: bool = False) -> int:
        """Record what all processes counted since the last summary; how many could not be.

        These stay counted. A summary that is repeated, because it is not known whether it stands in
        the log, has the request id that it had.
        """
        async with self._summing:
            kept, self._kept = self._kept, Counter()
            try:
                batches = self._shared.take(self._sums or at_end, kept)
            except LimitsUnavailable:
                return 0 if await self._sum_up(kept) else self._keep(kept)
            missed = 0
            for batch in batches:
                if not await self._sum_up(batch.counted, batch.id):
                    missed += batch.counted.total()
                    continue
                with suppress(LimitsUnavailable):  # then it is repeated, with its request id
                    self._shared.done(batch)
            return missed

    async def summarise_forever(self) -> None:
        """Runs until cancelled. A summary that has begun by then is still written.

        The first one comes at once: of what a process that was killed had counted.
        """
        while True:
            await asyncio.shield(self.summarise())
            await asyncio.sleep(SUMMARY_SECONDS)

    async def close(self) -> None:
        """Write the last summary. If that fails, its total is written to the security log only."""
        missed = await self.summarise(at_end=True)
        if missed:
            self._events.event("refusals_not_summed_up", level="ERROR", total=missed)

    async def _sum_up(self, counted: Counter[Kind], request_id: str | None = None) -> bool:
        if not counted:
            return True
        try:
            await self._audit.record("request.refused_summary", user_id=None, request_id=request_id, details=_summary(counted))
        except AuditUnavailable:
            return False
        self._events.event("refusals_summed_up", level="WARNING", total=counted.total())
        return True

    async def _record_one(self, action: str, kind: Kind, **members: Any) -> None:
        try:
            await self._audit.record(action, **members)
        except AuditUnavailable:
            self._count({kind: 1})

    def _count(self, counted: Mapping[Kind, int]) -> None:
        """After the shared memory has failed, it is next tried at the time of a summary."""
        try:
            if not self._kept:
                self._shared.add(counted)
                return
        except LimitsUnavailable:
            pass
        self._keep(counted)

    def _keep(self, counted: Mapping[Kind, int]) -> int:
        for kind, count in counted.items():
            self._kept[kind if kind in self._kept or len(self._kept) < MAX_KINDS else OTHER] += count
        return sum(counted.values())


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
