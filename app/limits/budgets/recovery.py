"""Brings the store into line with the log: at a start, after a crash, after it was lost.

1. Nobody else has the store in use: every question without an end is settled at its reservation,
   and the store is computed from the log, from the record on up to which it had been computed.
2. Others have it in use: only what a dead process reserved is settled or released.
3. It is new, or another file: computed from the log; each process claims what it has open.

Every step may be cut off and repeated: a record comes before the change that it tells of, and a
question is settled by the first record that says so.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Set
from contextlib import ExitStack
from functools import partial
from typing import Any, Protocol, cast

from .advances import AdvancingStore
from .books import RELEASED, SETTLED, Books
from .found import Found, amounts_for, as_reserved, by_request, note, request_of, rows_of, settlement, shown_rows
from .ledger import BudgetLedger
from .notes import Notes, NotesLost
from .store import NO_OWNER, BudgetOwners, BudgetStore, LogPlace, OpenRow, Settle, StoreReplaced, Take

LOG = logging.getLogger("app.limits")
ATTACH_SECONDS = 5.0
"""How long to wait for another process that attaches the store."""
ORPHAN_SECONDS = 10.0
"""By then every live process has claimed what it has open in a store that was built again."""
KEEP_BYTES = 16 << 20
"""After so much more of the log, the store is told up to where it is computed."""
CRASHED = "the service ended before the answer's record"
WORKER_DIED = "the process that asked ended before the answer's record"
NO_RECORD = "the record of the end could not be written"
NOT_SENT = "nothing was sent"
NOT_RECEIVED = "there is no record of the question"
TakeRecord = Callable[[int, str, str, Mapping[str, Any]], None]
"""Gets a record: its number, action, request id and details."""


class BudgetLog(Protocol):
    """What the budgets need of the log. All but `record` block, and raise StoreFailed."""

    def end(self) -> LogPlace:
        """Of the durable records."""

    def holds(self, place: LogPlace) -> bool:
        """Whether the record that ends there is the one that *place* names."""

    def read(self, start: int, take: TakeRecord, end: int | None = None) -> None:
        """The records that concern budgets, from byte *start* to *end* or to the last one."""

    async def record(self, action: str, details: Mapping[str, Any], request_id: str | None = None) -> None:
        """Durable on return. Raises AuditUnavailable."""


class BudgetRecovery:
    """Of one process, with its ledger."""

    def __init__(self, ledger: BudgetLedger, owners: BudgetOwners, log: BudgetLog, notes: Notes | None = None) -> None:
        """*notes*: of a store that grants advances."""
        self._ledger, self._owners, self._log, self._notes = ledger, owners, log, notes
        self._sweep_at: float | None = None
        self._built = ""
        self._kept: int | None = None  # the bytes of the log that the store knows of
        self.after = 0
        """The log had so many bytes a moment ago."""

    async def attach(self) -> None:
        """Afterwards the ledger is ready. Raises StoreFailed, AuditUnavailable: try it again."""
        ledger, owners = self._ledger, self._owners
        held = ExitStack()
        is_alone = await ledger.do(lambda store: held.enter_context(owners.attaching(ATTACH_SECONDS)))
        try:
            is_built = await ledger.do(lambda store: store.attach(owners.own))
            build = await ledger.do(lambda store: store.build())
            mine = ledger.unsettled(is_other_build=build.name != self._built)
            self._sweep_at = None if is_alone and not mine else time.monotonic() + ORPHAN_SECONDS
            if is_alone and not mine:
                await self._recover()
            elif not is_built:
                await ledger.do(partial(self._rebuild_beside_others, mine))
            else:
                await ledger.do(partial(self._claim, mine))
                await self.sweep()
            self._kept = None
            self._built = (await ledger.do(lambda store: store.build())).name
            self.after = (await ledger.do(lambda store: self._log.end())).size
        finally:
            await ledger.do(lambda store: held.close())
        ledger.open_for(owners.own)

    async def look(self, *, keeps_books: bool) -> None:
        """Now and then: see to what is left. Raises as `attach`."""
        if not self._ledger.is_ready:
            await self.attach()
            return
        await self._ledger.do(self._verify_build)
        has_dead = await self._ledger.do(lambda store: self._owners.has_dead())
        is_due = self._sweep_at is not None and time.monotonic() > self._sweep_at
        if self._ledger.left or has_dead or is_due:
            await self.sweep()
            self._sweep_at = None if is_due else self._sweep_at
        self.after = (await asyncio.to_thread(self._log.end)).size
        if keeps_books:
            await self._keep_books()

    async def sweep(self) -> None:
        """Settle or release what dead processes reserved, and what this one had to leave.

        The log is read in a thread beside the store's, which questions wait for.
        """
        left = dict(self._ledger.left)
        await self._ledger.do(self._take_over_dead)
        rows = await self._ledger.do(lambda store: [row for row in store.open_rows() if row.key in left or self._is_dead(row)])
        if rows:
            found = await asyncio.to_thread(self._look_for, rows)
            for request_id, several in by_request(rows).items():
                is_sent = any(left.get(row.key, True) for row in several)
                why = NO_RECORD if any(row.key in left for row in several) else WORKER_DIED
                await self._end(request_id, several, found[request_id], is_sent=is_sent, why=why)
            found = await asyncio.to_thread(self._look_for, rows)  # a record that was late may have come first
            steps = [settlement(row, amounts_for(row.key, found[request_of(row.key)].spent)) for row in rows]
            await self._ledger.do(partial(_apply, steps))
        for key in left:
            self._ledger.left.pop(key, None)
            self._ledger.open.pop(key, None)

    # --- nobody else has it in use ------------------------------------------------------------

    async def _recover(self) -> None:
        await self._ledger.do(self._take_over_dead)
        rows = await self._ledger.do(lambda store: store.open_rows())
        books = await self._ledger.do(self._read_on)
        for received, question in list(books.open.items()):
            details = {"received": received, "why": CRASHED, "spent": as_reserved(question.reserved)}
            await self._log.record(SETTLED, details, question.request_id)
        found = await self._ledger.do(lambda store: self._look_for(rows))
        for request_id, several in by_request(rows).items():
            if found[request_id].received < 0:
                await self._log.record(RELEASED, {"why": NOT_RECEIVED, "released": shown_rows(several)}, request_id)
        await self._ledger.do(self._read_on)
        await self._ledger.do(lambda store: store.rebuild(()))

    def _read_on(self, store: BudgetStore) -> Books:
        """The books up to the end of the log, which the store keeps."""
        books, end = self._up_to_now(*store.books())
        store.keep(books, end)
        return books

    def _up_to_now(self, books: Books, place: LogPlace | None) -> tuple[Books, LogPlace]:
        """*books* of the log up to *place*, read on to its end."""
        if place is None or not self._log.holds(place):
            books, place = Books(), LogPlace(-1, 0, "")
        end = self._log.end()
        self._log.read(place.size, books.add, end.size)
        return books, end

    async def _keep_books(self) -> None:
        """The log is read as in `sweep`."""
        if self._kept is not None and self.after - self._kept < KEEP_BYTES:
            return
        books, place = await self._ledger.do(lambda store: store.books())
        if place is None or self.after - place.size >= KEEP_BYTES:
            books, end = await asyncio.to_thread(self._up_to_now, books, place)
            await self._ledger.do(partial(_keep, books, end))
            place = end
        self._kept = place.size

    # --- others have it in use ----------------------------------------------------------------

    def _rebuild_beside_others(self, mine: list[Take], store: BudgetStore) -> None:
        books = self._read_on(store)
        rows = {row.key: row for question in books.open.values() for row in rows_of(question)}
        _, place = store.books()
        own = self._uncounted(mine, rows.keys(), -1 if place is None else place.seq)
        store.rebuild([*{**rows, **{row.key: row for row in own}}.values()])

    def _claim(self, mine: list[Take], store: BudgetStore) -> None:
        store.claim(self._uncounted(mine, {row.key for row in store.open_rows()}, store.build().counted))

    def _uncounted(self, mine: list[Take], is_open: Set[str], counted: int) -> list[OpenRow]:
        """Without those that had their end in the records that were *counted*."""
        rows = [OpenRow(take.key, self._owners.own, take.after, take.amounts) for take in mine]
        found = self._look_for([row for row in rows if row.key not in is_open])
        return [row for row in rows if row.key in is_open or not 0 <= found[request_of(row.key)].ended <= counted]

    def _verify_build(self, store: BudgetStore) -> None:
        """Also a process that has nothing to tell must claim soon what it has open."""
        if store.build().name != self._built:
            raise StoreReplaced("they were computed from the log again by another process")

    def _take_over_dead(self, store: BudgetStore) -> None:
        """What dead processes had handed out of their advances is open, and the rest is free."""
        if self._notes is None:
            return
        advancing = cast(AdvancingStore, store)
        for owner in advancing.holders():
            if self._owners.is_dead(owner):
                try:
                    advancing.take_over(owner, partial(self._notes.of, owner))
                except NotesLost as lost:
                    LOG.error("An advance on the budgets stays held until the service is restarted: %s.", lost)
                else:
                    self._notes.remove(owner)

    def _is_dead(self, row: OpenRow) -> bool:
        if row.owner == NO_OWNER:
            return self._sweep_at is not None and time.monotonic() > self._sweep_at
        return self._owners.is_dead(row.owner)

    def _look_for(self, rows: Iterable[OpenRow]) -> Mapping[str, Found]:
        """What the log holds of the requests of *rows*, by their ids."""
        found: dict[str, Found] = defaultdict(Found)
        wanted, starts = {request_of(row.key) for row in rows}, [row.after for row in rows]

        def take(seq: int, action: str, request_id: str, details: Mapping[str, Any]) -> None:
            if request_id in wanted:
                note(found[request_id], seq, action, details)

        if starts:
            self._log.read(min(starts), take)
        return found

    async def _end(self, request_id: str, rows: list[OpenRow], found: Found, *, is_sent: bool, why: str) -> None:
        """Record how the reservations of a request end, unless that is recorded."""
        if found.has_end:
            return
        if found.received < 0:
            await self._log.record(RELEASED, {"why": NOT_RECEIVED, "released": shown_rows(rows)}, request_id)
        elif not is_sent:
            await self._log.record(RELEASED, {"received": found.received, "why": NOT_SENT}, request_id)
        else:
            details = {"received": found.received, "why": why, "spent": as_reserved(found.reserved)}
            await self._log.record(SETTLED, details, request_id)


def _keep(books: Books, place: LogPlace, store: BudgetStore) -> None:
    store.keep(books, place)


def _apply(steps: list[Settle], store: BudgetStore) -> None:
    store.apply(steps)
