"""Group commit: many callers share one write and one sync; while the log cannot be written, nobody is let in.

Callers live on one event loop; one thread writes. What the callers of one turn of the loop hand in travels together,
and what arrives while the disk syncs is the next batch.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from ...errors import AppError, AuditUnavailable
from .chain import link
from .entry import Draft, Head, Receipt, draft
from .store import AuditStore, Batch, Build, Recovery

MAX_BATCH_BYTES = 1 << 20
PROBE_SECONDS = 1.0


@dataclass(slots=True)
class Ticket:
    record: Draft
    receipt: asyncio.Future[Receipt]


def now_utc() -> str:
    """RFC 3339 in UTC with six decimals."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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
        self._stopping = threading.Event()
        self._closed_since: float | None = None
        self.closed_because: str | None = None
        """Why nothing can be recorded now; None when all is well."""
        self.refused = 0
        """Records refused since the log was last writable."""

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._write_forever, name="audit", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Finish what was handed in, then end the thread; give a hung disk no more than the deadline."""
        if self._thread is not None:
            self._flush()
            self._batches.put(None)
            self._stopping.set()
            await asyncio.to_thread(self._thread.join, self._deadline)
            self._thread = None

    async def commit(self, record: Draft) -> Receipt:
        """Durable on return. Raises AuditUnavailable: at once while closed, after the deadline when the disk hangs."""
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
        return await receipt

    # --- on the loop -----------------------------------------------------------------------------

    def _flush(self) -> None:
        if not self._gathered:
            return
        batch, self._gathered = self._gathered, []
        if not self._waiting:
            assert self._loop is not None
            self._loop.call_later(self._deadline / 4, self._watch)
        self._waiting[id(batch)] = (time.monotonic(), batch)
        self._batches.put(batch)

    def _watch(self) -> None:
        """The write deadline: callers whose record is late are refused, and so is everyone until the disk is back."""
        if not self._waiting:
            return
        late = time.monotonic() - self._deadline
        for key, (since, batch) in list(self._waiting.items()):
            if since <= late:
                del self._waiting[key]
                self._refuse(batch, AuditUnavailable("The audit log did not take the record in time."))
        assert self._loop is not None
        if self._waiting:
            self._loop.call_later(self._deadline / 4, self._watch)

    def _refuse(self, batch: list[Ticket], error: AppError) -> None:
        self._close(error.detail)
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

    def _close(self, why: str) -> None:
        if self.closed_because is None:
            self.closed_because = why
            self._closed_since = time.monotonic()
            self._on_change("audit_closed", why)
            self._batches.put([])  # the writer probes as long as we are closed

    def _reopen(self, told: int) -> None:
        self.refused -= told
        self.closed_because = self._closed_since = None
        self._on_change("audit_resumed", f"{told} records were refused")

    # --- on the thread ---------------------------------------------------------------------------

    def _write_forever(self) -> None:
        while (batch := self._batches.get()) is not None:
            batches = [batch]
            while self._batches.qsize():
                following = self._batches.get()
                if following is None:
                    self._batches.put(None)
                    break
                batches.append(following)
            self._write([one for one in batches if one])
            while self.closed_because is not None and not self._stopping.wait(PROBE_SECONDS):
                if self._batches.qsize():
                    break  # handed in before we closed: fail or write them now
                self._probe()

    def _write(self, batches: list[list[Ticket]]) -> None:
        done: list[tuple[list[Ticket], list[Receipt] | AppError]] = []
        while batches:
            group, size = [], 0
            while batches and (not group or size < MAX_BATCH_BYTES):
                size += sum(len(ticket.record.details) + 400 for ticket in batches[0])
                group.append(batches.pop(0))
            # A caller who gave up (deadline, hung up before the write) is left out: nothing stands that nobody asked for.
            tickets = [ticket for batch in group for ticket in batch if not ticket.receipt.done()]
            try:
                receipts = iter(
                    append(self._store, [ticket.record for ticket in tickets], self._clock) if tickets else []
                )
            except AppError as error:
                done += [(batch, error) for batch in group]
                continue
            written = {id(ticket): next(receipts) for ticket in tickets}
            nobody = Receipt(-1, "")
            done += [(batch, [written.get(id(ticket), nobody) for ticket in batch]) for batch in group]
        self._call(self._settle, done)

    def _probe(self) -> None:
        told = self.refused
        details = {"refused": told, "seconds": round(time.monotonic() - (self._closed_since or time.monotonic()), 3)}
        try:
            append(self._store, [draft("log.resumed", None, details)], self._clock)
        except AppError:
            return
        self.closed_because = None  # seen by this thread at once; the loop tidies the rest
        self._call(self._reopen, told)

    def _call(self, what: Callable[..., None], argument: object) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what, argument)


def append(store: AuditStore, records: list[Draft], clock: Callable[[], str] = now_utc) -> list[Receipt]:
    """Append *records*, blocking. A torn tail that was set aside is recorded right before them."""
    receipts: list[Receipt] = []

    def build(head: Head, recovery: Recovery | None) -> Batch:
        recovered = [] if recovery is None else [recovered_draft(recovery)]
        data, made, new_head = link(recovered + records, head, clock())
        receipts.extend(made[len(recovered) :])
        return Batch(data, new_head)

    typed: Build = build
    store.append(typed)
    return receipts


def recovered_draft(recovery: Recovery) -> Draft:
    details = {"bytes": recovery.size, "sha256": recovery.sha256, "kept_as": recovery.kept_as}
    return draft("log.recovered", None, details)
