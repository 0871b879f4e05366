"""AuditLog, the interface of the audit log: begin it, record durably, read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from ..kit.moments import now_utc
from .format.chain import link
from .format.record import EMPTY, MAX_DETAILS_BYTES, Draft, LogEnd, Receipt, details_of, draft, split_lines, whole_draft
from .storage.append import append
from .storage.group_commit import GroupCommit
from .storage.long_records import LongRecords
from .storage.meter import StorageMeter
from .storage.store import AuditStore, Batch, TextStore


class AuditLog:
    """Use `async with log:` on the event loop that records. Reading needs no event loop."""

    def __init__(
        self,
        store: AuditStore,
        *,
        timeout_seconds: float = 5.0,
        clock: Callable[[], str] = now_utc,
        on_change: Callable[[str, str], None] = lambda event, detail: None,
        long_texts: TextStore | None = None,
        meter: StorageMeter | None = None,
        node: str = "",
    ) -> None:
        """*timeout_seconds*: for one write. *on_change* gets a security event and its detail.

        *long_texts*: keeps texts that are too long for a record. None: only their digest is stored.
        *node*: the machine among several that each record names; empty: none does.
        """
        self._store, self._node = store, {"node": node} if node else None
        self._texts = long_texts
        self._clock = clock
        self._long = LongRecords(long_texts, timeout_seconds, on_change)
        self._commits = GroupCommit(store, timeout_seconds=timeout_seconds, clock=clock, on_change=on_change, meter=meter)

    # --- record ----------------------------------------------------------------------------------

    async def __aenter__(self) -> AuditLog:
        self._commits.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._commits.stop()

    def record(
        self,
        action: str,
        *,
        user_id: str | None,
        details: Mapping[str, Any],
        request_id: str | None = None,
        is_long: bool = False,
    ) -> asyncio.Future[Receipt]:
        """Durable once awaited. *details* may have any size: long texts are stored as digests.

        *is_long*: they may be very long, and are encoded in a thread. Raises ValueError for
        what can never be a record. Raises AuditUnavailable where it could not be made durable in
        time; the log may hold the record all the same.
        """
        if self._node is not None:
            details = {**details, **self._node}
        if is_long and self._commits.closed_because is None:
            return self._record_long(partial(whole_draft, action, user_id, details, request_id))
        record = whole_draft(action, user_id, details, request_id)
        if len(record.details) > MAX_DETAILS_BYTES and self._commits.closed_because is None:  # while closed, commit refuses it
            return self._record_long(lambda: record)
        return self._commits.commit(record)

    def _record_long(self, make: Callable[[], Draft]) -> asyncio.Future[Receipt]:
        async def fit_and_commit() -> Receipt:
            return await self._commits.commit(await self._long.fit(make))

        return asyncio.ensure_future(fit_and_commit())

    @property
    def closed_because(self) -> str | None:
        """Why nothing can be recorded now; None when all is well."""
        return self._commits.closed_because

    def close_until_writable(self, why: str) -> None:
        """Before the start: refuse every record until a probe recovers the log."""
        self._commits.close(why)

    def is_in_place(self) -> bool:
        """The log is still at its path, and no shorter than it was. Cheap; writes nothing."""
        return self._store.is_in_place()

    # --- begin and recover -----------------------------------------------------------------------

    def exists(self) -> bool:
        return self._store.exists()

    def is_empty(self) -> bool:
        """There is no log, or its first record was never written."""
        return not self._store.exists() or self.size() == 0

    def has_one_record(self) -> bool:
        """Nothing was recorded since the log was begun."""
        end = self._store.durable()
        return end is not None and end.seq == 0

    def create(self, details: Mapping[str, Any]) -> Receipt:
        """Begin a log with `log.opened`. Blocks. Raises AuditCorrupt if there is, or was, one."""
        return append(self._store.create, [draft("log.opened", None, details)], self._clock)[0]

    def begin_another(self, details: Mapping[str, Any]) -> Receipt:
        """Rename the present log; begin another, whose first record names the old end. Blocks."""
        receipts: list[Receipt] = []

        def build(old: LogEnd | None, kept_as: str | None) -> Batch:
            head = None if old is None else {"seq": old.seq, "hash": old.hash, "size": old.size}
            opened = draft("log.opened", None, {**details, "previous": {"kept_as": kept_as, "head": head}})
            data, made, end = link([opened], EMPTY, self._clock())
            receipts.extend(made)
            return Batch(data, end)

        self._store.retire(build)
        return receipts[0]

    def recover(self) -> None:
        """At start: check the end of the log; set a torn tail aside, and record that. Blocks.

        Raises AuditCorrupt for a log that is shorter than it was, or whose end was changed, and
        AuditUnavailable.
        """
        append(partial(self._store.recover, at_start=True), [], self._clock)

    # --- read ------------------------------------------------------------------------------------

    def size(self) -> int:
        """The length in bytes, taken under the lock: whole records, unless a writer died."""
        return self._store.size()

    def durable_size(self) -> int:
        """The length in bytes of what no crash takes back. Where that is not known, `size`."""
        durable = self._store.durable()
        return self.size() if durable is None else durable.size

    def pieces(self, end: int, start: int = 0) -> Iterator[bytes]:
        """The stored bytes from *start* to *end*, in pieces of any size."""
        return self._store.chunks(end, start)

    def lines(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The stored lines from byte *start* to byte *end*, by default the present `size`."""
        return split_lines(self._store.chunks(self.size() if end is None else end, start))

    def first_details(self) -> dict[str, Any]:
        """The details of the first record: the origin and key of the log. Empty if not readable."""
        return details_of(next(self.lines(), b""))

    def close(self) -> None:
        """Close the files."""
        if not self._commits.is_hung:  # a hung write must not end in a file that reuses its descriptor
            self._store.close()
        if self._texts is not None:
            self._texts.close()
