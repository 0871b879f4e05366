"""The thread that writes records for one event loop; while the log is closed it probes the disk."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from ...errors import AppError, AuditUnavailable
from ..format.record import Draft, Receipt, draft
from .append import append
from .availability import PROBE_SECONDS, Availability, Probe
from .meter import StorageMeter
from .store import Addition, AuditStore

LOG = logging.getLogger("app.audit")
MAX_BATCH_BYTES = 1 << 20
GATHER_SECONDS = 0.001
"""Between two batches while many records come: a batch costs CPU, however few share it."""
MANY_RECORDS = 4
"""In one batch."""
LINE_BYTES = 400
"""About what a line holds besides its details."""


@dataclass(slots=True)
class Ticket:
    """A record that a caller handed in, and the future that they await."""

    record: Draft
    receipt: asyncio.Future[Receipt]


@dataclass(slots=True, eq=False)
class Group:
    """The tickets of one iteration of the event loop."""

    tickets: list[Ticket]
    handed_in_at: float
    """On the event loop's LoopClock."""
    is_done: bool = False
    """The writer thread has its outcome, which the event loop may not have seen yet."""


@dataclass(slots=True)
class Outcome:
    """What became of *groups*: all refused with *error*, or a receipt for each of *tickets*.

    *tickets* are those that still had a caller when the write began.
    """

    groups: list[Group]
    tickets: list[Ticket]
    receipts: list[Receipt]
    error: AppError | None


class _Signal(Enum):
    WAKE = "look whether the log is closed"
    STOP = "write what is handed in, then end"


class LogWriter:
    """Blocks on the disk, so that the event loop never does."""

    def __init__(
        self,
        store: AuditStore,
        clock: Callable[[], str],
        availability: Availability,
        on_outcome: Callable[[Outcome], None],
        on_resumed: Callable[[Probe], None],
        meter: StorageMeter | None = None,
    ) -> None:
        """*on_outcome* and *on_resumed* are called on the event loop."""
        self._meter = meter
        self._store, self._clock, self._availability = store, clock, availability
        self._on_outcome, self._on_resumed = on_outcome, on_resumed
        self._inbox: queue.SimpleQueue[Group | _Signal] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._failed: AppError | None = None  # known here a moment before the event loop closes the log
        self._ended = 0  # the closing that the last successful probe ended

    # --- called on the event loop ----------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        # A daemon: a hung disk must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def hand_in(self, group: Group) -> None:
        self._inbox.put(group)

    def wake(self) -> None:
        """Begin to probe, if the log is closed."""
        self._inbox.put(_Signal.WAKE)

    def stop(self) -> None:
        """Write what was handed in, then end the thread. Returns at once: `join` waits."""
        self._inbox.put(_Signal.STOP)

    def join(self, timeout_seconds: float) -> bool:
        """Wait for the end of the thread. False: it still hangs in a write. Blocks."""
        assert self._thread is not None
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    # --- on the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        began, is_busy = 0.0, False
        while True:
            is_closed = self._failed is not None or self._availability.needs_probe(self._ended)
            try:
                items = [self._inbox.get(timeout=PROBE_SECONDS if is_closed else None)]
            except queue.Empty:
                self._probe()
                continue
            if is_busy:
                time.sleep(max(0.0, began + GATHER_SECONDS - time.monotonic()))
            while self._inbox.qsize():
                items.append(self._inbox.get())
            groups = [one for one in items if isinstance(one, Group)]
            began, is_busy = time.monotonic(), sum(len(group.tickets) for group in groups) >= MANY_RECORDS
            self._write(groups)
            if _Signal.STOP in items:
                return

    def _write(self, groups: list[Group]) -> None:
        """Append *groups* in batches of limited size, and report each batch when it is durable."""
        while groups:
            batch, size = [], 0
            while groups and size < MAX_BATCH_BYTES:
                group = groups.pop(0)
                batch.append(group)
                size += sum(len(ticket.record.details) + LINE_BYTES for ticket in group.tickets)
            outcome = self._append(batch)
            for group in batch:
                group.is_done = True
            self._call(self._on_outcome, outcome)

    def _append(self, groups: list[Group]) -> Outcome:
        # No record for a caller who was refused or disconnected before the write begins.
        tickets = [ticket for group in groups for ticket in group.tickets if not ticket.receipt.done()]
        receipts: list[Receipt] = []
        if tickets and self._failed is None:
            began = time.monotonic() if self._meter else 0.0
            self._failed, receipts = self._try(self._store.append, [ticket.record for ticket in tickets])
            if self._meter and self._failed is None:
                self._meter.batch(len(tickets), time.monotonic() - began)
        # After a failed write all that waited behind it are refused too, until a probe succeeds.
        return Outcome(groups, tickets, receipts, self._failed)

    def _probe(self) -> None:
        """Check the end of the log and append `log.resumed`; success opens the log again."""
        probe = self._availability.probe()
        details = {"refused": probe.refused, "seconds": round(self._availability.closed_seconds(), 3)}
        error, _ = self._try(self._store.recover, [draft("log.resumed", None, details)])
        if error is None:
            self._failed, self._ended = None, probe.closings
            self._call(self._on_resumed, probe)

    def _try(self, write: Callable[[Addition], None], records: list[Draft]) -> tuple[AppError | None, list[Receipt]]:
        try:
            return None, append(write, records, self._clock)
        except AppError as error:
            return error, []
        except Exception:  # the callers are refused; if it ended the thread, the log would stay closed
            LOG.exception("Writing to the audit log failed unexpectedly.")
            return AuditUnavailable("Writing to the audit log failed unexpectedly: see the service's own output."), []

    def _call(self, function: Callable[..., None], argument: object) -> None:
        """Call *function* on the event loop."""
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(function, argument)
