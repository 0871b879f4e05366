"""Group commit: many callers share one write and one sync, and are all refused if it fails.

1. `commit` collects the records of one iteration of the event loop in a group.
2. Then the group goes to the writer thread (`log_writer.py`). It appends all groups that arrived
   while it waited for the disk, as one batch.
3. The outcome comes back to the event loop, which resolves the callers' futures.

Fail closed: after a write that failed or timed out, every record is refused at once. A probe by the
writer thread, once a second, opens the log again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ...errors import AppError, AuditUnavailable
from ...kit.moments import now_utc
from ..format.record import Draft, Receipt
from .availability import Availability
from .log_writer import Group, LogWriter, Outcome, Ticket
from .loop_clock import LoopClock
from .meter import StorageMeter
from .store import AuditStore


class GroupCommit:
    """Turns drafts into durable records. Start it on the event loop that awaits its receipts."""

    def __init__(
        self,
        store: AuditStore,
        *,
        timeout_seconds: float = 5.0,
        clock: Callable[[], str] = now_utc,
        on_change: Callable[[str, str], None] = lambda event, detail: None,
        meter: StorageMeter | None = None,
    ) -> None:
        """*timeout_seconds*: for one write. *on_change* gets an event and why."""
        self._timeout, self._meter = timeout_seconds, meter
        self._clock = LoopClock(timeout_seconds / 2)
        self._availability = Availability(on_change)
        self._writer = LogWriter(store, clock, self._availability, self._resolve, self._availability.reopen, meter)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_started = False
        self._gathered: list[Ticket] = []  # in this iteration of the event loop
        self._unresolved: dict[Group, None] = {}  # handed to the writer, oldest first
        self._is_watching = False
        self.is_hung = False
        """Whether the writer still hung in a write when it should have stopped."""

    @property
    def closed_because(self) -> str | None:
        """Why nothing can be recorded now; None when all is well."""
        return self._availability.closed_because

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._writer.start(self._loop)
        self._is_started = True

    async def stop(self) -> None:
        """Write what was handed in, then end the thread. Waits until the timeout."""
        if not self._is_started:
            return
        self._is_started = False  # from here on `commit` takes nothing
        self._hand_in()
        self._writer.stop()
        self.is_hung = not await asyncio.to_thread(self._writer.join, self._timeout)

    def commit(self, record: Draft) -> asyncio.Future[Receipt]:
        """The record is durable once the future is done.

        Raises AuditUnavailable while the log is closed. The future raises it after a failed write,
        or after the timeout.
        """
        loop = self._loop
        if loop is None or not self._is_started:
            raise AuditUnavailable("The audit log is not open.")
        if self._availability.closed_because is not None:
            raise self._availability.refusal()
        receipt: asyncio.Future[Receipt] = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._hand_in)
        self._gathered.append(Ticket(record, receipt))
        return receipt

    def close(self, why: str) -> None:
        """Refuse every record until a probe succeeds."""
        if self._availability.close(why):
            self._writer.wake()

    def _hand_in(self) -> None:
        if not self._gathered:
            return
        group = Group(self._gathered, self._clock.read())
        self._gathered = []
        self._unresolved[group] = None
        self._watch_later()
        self._writer.hand_in(group)

    def _resolve(self, outcome: Outcome) -> None:
        for group in outcome.groups:
            self._unresolved.pop(group, None)
            if outcome.error is not None:
                self._refuse(group, outcome.error)
        if outcome.error is None:
            for ticket, receipt in zip(outcome.tickets, outcome.receipts, strict=True):
                if not ticket.receipt.done():
                    ticket.receipt.set_result(receipt)
            if self._meter is not None:
                now = self._clock.read()
                for group in outcome.groups:
                    self._meter.durable(len(group.tickets), now - group.handed_in_at)

    def _refuse(self, group: Group, error: AppError) -> None:
        """Close the log; the callers learn that it is unavailable, the operator why."""
        self.close(error.detail)
        for ticket in group.tickets:
            if not ticket.receipt.done():
                ticket.receipt.set_exception(self._availability.refusal())

    # --- the timeout -----------------------------------------------------------------------------

    def _watch_later(self) -> None:
        if self._unresolved and not self._is_watching and self._loop is not None:
            self._is_watching = True
            self._loop.call_later(self._timeout / 4, self._watch)

    def _watch(self) -> None:
        """Refuse the groups that the writer has had for too long.

        While the loop was blocked the writer went on: what it has done is on its way to the loop.
        """
        self._is_watching = False
        now = self._clock.read()
        for group in list(self._unresolved):
            if not group.is_done and now - group.handed_in_at >= self._timeout:
                del self._unresolved[group]
                self._refuse(group, AuditUnavailable("The audit log did not take the record in time."))
        self._watch_later()
