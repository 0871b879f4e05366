"""Brings the store into line with the log: at a start, after a crash, after it was lost.

1. Nobody else has the store in use: every question without an end is settled at its reservation,
   and the store is computed from the log, from the record on up to which it had been computed.
2. Others have it in use: only what a dead process reserved is settled or released.
3. It is new, or another file: computed from the log; each process claims what it has open.

Every step may be cut off and repeated: a record comes before the change that it tells of, and a
question is settled by the first record that says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any, Protocol

from .books import RELEASED, SETTLED, Books
from .found import Found, amounts_for, as_reserved, by_request, note, request_of, rows_of, settlement, shown_rows
from .ledger import BudgetLedger
from .store import BudgetOwners, BudgetStore, LogPlace, OpenRow, Settle

ATTACH_SECONDS = 5.0
"""How long to wait for another process that attaches the store."""
KEEP_BYTES = 64 << 20
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

    def __init__(self, ledger: BudgetLedger, owners: BudgetOwners, log: BudgetLog) -> None:
        self._ledger, self._owners, self._log = ledger, owners, log
        self.after = 0
        """The log had so many bytes a moment ago."""

    async def attach(self) -> None:
        """Afterwards the ledger is ready. Raises StoreFailed, AuditUnavailable: try it again."""
        ledger, owners = self._ledger, self._owners
        held = ExitStack()
        is_alone = await ledger.do(lambda store: held.enter_context(owners.attaching(ATTACH_SECONDS)))
        try:
            is_built = await ledger.do(lambda store: store.attach(owners.own))
            if is_alone and not ledger.open:
                await self._recover()
            elif not is_built:
                await ledger.do(self._rebuild_beside_others)
            else:
                await ledger.do(lambda store: store.claim(self._own_rows()))
                await self.sweep()
            self.after = (await ledger.do(lambda store: self._log.end())).size
        finally:
            await ledger.do(lambda store: held.close())
        ledger.is_ready = True
        ledger.report(None)

    async def look(self, *, keeps_books: bool) -> None:
        """Now and then: see to what is left. Raises as `attach`."""
        if not self._ledger.is_ready:
            await self.attach()
            return
        has_dead = await self._ledger.do(lambda store: self._owners.has_dead())
        if self._ledger.left or has_dead:
            await self.sweep()
        self.after = (await self._ledger.do(lambda store: self._log.end())).size
        if keeps_books:
            await self._ledger.do(self._keep_books)

    async def sweep(self) -> None:
        """Settle or release what dead processes reserved, and what this one had to leave."""
        left = dict(self._ledger.left)
        rows = await self._ledger.do(
            lambda store: [row for row in store.open_rows() if row.key in left or self._owners.is_dead(row.owner)]
        )
        if rows:
            found = await self._ledger.do(lambda store: self._look_for(rows))
            for request_id, several in by_request(rows).items():
                is_sent = any(left.get(row.key, True) for row in several)
                why = NO_RECORD if any(row.key in left for row in several) else WORKER_DIED
                await self._end(request_id, several, found[request_id], is_sent=is_sent, why=why)
            found = await self._ledger.do(lambda store: self._look_for(rows))  # a record that was late may have come first
            steps = [settlement(row, amounts_for(row.key, found[request_of(row.key)].spent)) for row in rows]
            await self._ledger.do(partial(_apply, steps))
        for key in left:
            self._ledger.left.pop(key, None)

    # --- nobody else has it in use ------------------------------------------------------------

    async def _recover(self) -> None:
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
        books, place = store.books()
        if place is None or not self._log.holds(place):
            books, place = Books(), LogPlace(-1, 0, "")
        end = self._log.end()
        self._log.read(place.size, books.add, end.size)
        store.keep(books, end)
        return books

    def _keep_books(self, store: BudgetStore) -> None:
        _, place = store.books()
        if place is None or self.after - place.size >= KEEP_BYTES:
            self._read_on(store)

    # --- others have it in use ----------------------------------------------------------------

    def _rebuild_beside_others(self, store: BudgetStore) -> None:
        books = self._read_on(store)
        rows = {row.key: row for question in books.open.values() for row in rows_of(question)}
        own = self._own_rows()
        found = self._look_for(own)  # others may have settled a question of this process, which they took for dead
        for row in own:
            question = found[request_of(row.key)]
            if row.key in rows or question.received < 0 or not question.has_end:
                rows[row.key] = row
        store.rebuild([*rows.values()])

    def _own_rows(self) -> list[OpenRow]:
        return [OpenRow(take.key, self._owners.own, take.after, take.amounts) for take in list(self._ledger.open.values())]

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


def _apply(steps: list[Settle], store: BudgetStore) -> None:
    store.apply(steps)
