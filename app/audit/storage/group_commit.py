"""Group commit: many callers share one write and one sync; while the log cannot be written, nobody is let in.

Callers live on one event loop; one thread writes. What the callers of one turn of the loop hand in travels together,
and what arrives while the disk syncs is the next batch.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from ...errors import AppError, AuditUnavailable
from ..format.record import Draft, Receipt, draft
from .append import append, now_utc
from .store import AuditStore, Build

LOG = logging.getLogger("app.audit")
MAX_BATCH_BYTES = 1 << 20
PROBE_SECONDS = 1.0


@dataclass(slots=True)
class Ticket:
    record: Draft
    receipt: asyncio.Future[Receipt]


class GroupCommit:
    """Turns drafts into durable records. Start it on the loop that awaits its receipts."""

    def __init__(
        self,
        store: AuditStore,
        *,
        deadline_seconds: float = 5.0,
        clock: Callable[[], str] = now_utc,
        on_change: Callable[[str, str], None] = lambda event, detail: None,
    ) -> None:
        self._store = store
        self._deadline = deadline_seconds
        self._clock = clock
        self._on_change = on_change
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gathered: list[Ticket] = []
        self._batches: queue.SimpleQueue[list[Ticket] | None] = queue.SimpleQueue()
        self._waiting: dict[int, tuple[float, list[Ticket]]] = {}
        self._thread: threading.Thread | None = None
        self._watching = False
        self._failed: AppError | None = None  # the thread's own knowledge; the loop learns of it a moment later
        self._closed_since: float | None = None
        self._closings = 0
        self.closed_because: str | None = None
        """Why nothing can be recorded now; None when all is well."""
        self.is_hung = False
        """Whether the writer was still in the hands of a hung disk when it was told to stop."""
        self.refused = 0
        """Records refused since the log was last writable."""

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write_forever, name="audit", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Finish what was handed in, then end the thread; give a hung disk no more than the deadline."""
        thread, self._thread = self._thread, None  # from here on nothing is let in
        if thread is not None:
            self._flush()
            self._batches.put(None)
            await asyncio.to_thread(thread.join, self._deadline)
            self.is_hung = thread.is_alive()

    def commit(self, record: Draft) -> asyncio.Future[Receipt]:
        """Durable once it is done. Raises AuditUnavailable: at once while closed, after the deadline when the disk hangs."""
        loop = self._loop
        if loop is None or self._thread is None:
            raise AuditUnavailable("The audit log is not open.")
        if self.closed_because is not None:
            self.refused += 1
            raise AuditUnavailable(retry_after=2 * PROBE_SECONDS)
        receipt: asyncio.Future[Receipt] = loop.create_future()
        if not self._gathered:
            loop.call_soon(self._flush)
        self._gathered.append(Ticket(record, receipt))
        return receipt

    # --- on the loop -----------------------------------------------------------------------------

    def _flush(self) -> None:
        if not self._gathered:
            return
        batch, self._gathered = self._gathered, []
        self._waiting[id(batch)] = (time.monotonic(), batch)
        self._watch_later()
        self._batches.put(batch)

    def _watch(self) -> None:
        """The write deadline: callers whose record is late are refused, and so is everyone until the disk is back."""
        self._watching = False
        late = time.monotonic() - self._deadline
        for key, (since, batch) in list(self._waiting.items()):
            if since <= late:
                del self._waiting[key]
                self._refuse(batch, AuditUnavailable("The audit log did not take the record in time."))
        self._watch_later()

    def _watch_later(self) -> None:
        if self._waiting and not self._watching and self._loop is not None:
            self._watching = True
            self._loop.call_later(self._deadline / 4, self._watch)

    def _refuse(self, batch: list[Ticket], error: AppError) -> None:
        self.close(error.detail)
        for ticket in batch:
            if not ticket.receipt.done():
                self.refused += 1
                ticket.receipt.set_exception(AuditUnavailable(retry_after=2 * PROBE_SECONDS))

    def _settle(self, done: list[tuple[list[Ticket], list[Receipt] | AppError]]) -> None:
        for batch, outcome in done:
            self._waiting.pop(id(batch), None)
            if isinstance(outcome, AppError):
                self._refuse(batch, outcome)
                continue
            for ticket, receipt in zip(batch, outcome, strict=True):
                if not ticket.receipt.done():
                    ticket.receipt.set_result(receipt)

    def close(self, why: str) -> None:
        """Let nobody in until a probe succeeds."""
        if self.closed_because is None:
            self.closed_because = why
            self._closed_since = time.monotonic()
            self._closings += 1
            self._on_change("audit_closed", why)
            self._batches.put([])  # wakes the writer, which probes as long as we are closed

    def _reopen(self, probe: tuple[int, int]) -> None:
        told, closings = probe
        self.refused -= told
        if closings != self._closings:
            return  # closed anew since that probe began
        self.closed_because = self._closed_since = None
        self._on_change("audit_resumed", f"{told} records were refused")

    # --- on the thread ---------------------------------------------------------------------------

    def _write_forever(self) -> None:
        while True:
            try:
                closed = self._failed is not None or self.closed_because is not None
                batches = [self._batches.get(timeout=PROBE_SECONDS if closed else None)]
            except queue.Empty:
                self._probe()
                continue
            while self._batches.qsize():
                batches.append(self._batches.get())
            self._write([batch for batch in batches if batch])
            if None in batches:
                return

    def _write(self, batches: list[list[Ticket]]) -> None:
        while batches:
            group: list[list[Ticket]] = []
            size = 0
            while batches and (not group or size < MAX_BATCH_BYTES):
                size += sum(len(ticket.record.details) + 400 for ticket in batches[0])
                group.append(batches.pop(0))
            self._call(self._settle, self._write_group(group))

    def _write_group(self, group: list[list[Ticket]]) -> list[tuple[list[Ticket], list[Receipt] | AppError]]:
        # A caller who gave up (deadline, hung up before the write) is left out: nothing stands that nobody asked for.
        tickets = [ticket for batch in group for ticket in batch if not ticket.receipt.done()]
        if tickets and self._failed is None:
            self._failed, receipts = self._try(self._store.append, [ticket.record for ticket in tickets])
        if self._failed is not None:  # whoever stood in line behind a failed write is refused too, until a probe succeeds
            return [(batch, self._failed) for batch in group]
        if len(tickets) == sum(map(len, group)):  # nearly always
            in_turn = iter(receipts if tickets else ())
            return [(batch, list(islice(in_turn, len(batch)))) for batch in group]
        written = {id(ticket): receipt for ticket, receipt in zip(tickets, receipts if tickets else (), strict=True)}
        nobody = Receipt(-1, "")
        return [(batch, [written.get(id(ticket), nobody) for ticket in batch]) for batch in group]

    def _probe(self) -> None:
        told, closings = self.refused, self._closings
        details = {"refused": told, "seconds": round(time.monotonic() - (self._closed_since or time.monotonic()), 3)}
        failed, _ = self._try(self._store.recover, [draft("log.resumed", None, details)])
        if failed is None:
            self._failed = None
            self._call(self._reopen, (told, closings))

    def _try(self, write: Callable[[Build], None], records: list[Draft]) -> tuple[AppError | None, list[Receipt]]:
        try:
            return None, append(write, records, self._clock)
        except AppError as error:
            return error, []
        except Exception:  # the thread's outermost door: it must live, or the log stays closed for ever
            LOG.exception("The audit log failed in a way that nobody foresaw.")
            return AuditUnavailable("The audit log failed in a way that nobody foresaw: see the service's own output."), []

    def _call(self, what: Callable[..., None], argument: object) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(what, argument)
