"""AuditLog: record, read, verify. What stands in it was durable before anybody was told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .format.chain import ChainReport, check, link
from .format.record import EMPTY, MAX_DETAILS_BYTES, Draft, LogEnd, Receipt, draft, parse_line, split_lines, whole_draft
from .storage.append import append, now_utc
from .storage.group_commit import GroupCommit
from .storage.long_records import LongRecords
from .storage.long_texts import LongTexts
from .storage.store import AuditStore, Batch, Recovery


class AuditLog:
    """The face of the audit floor. `async with log:` on the loop that records; reading needs no loop."""

    def __init__(
        self,
        store: AuditStore,
        *,
        deadline_seconds: float = 5.0,
        clock: Callable[[], str] = now_utc,
        on_change: Callable[[str, str], None] = lambda event, detail: None,
        long_texts: LongTexts | None = None,
    ) -> None:
        """*long_texts*: where to keep what is too long for a record; None: only its digest is left."""
        self._store = store
        self._clock = clock
        self._long = LongRecords(long_texts, deadline_seconds, on_change)
        self._commits = GroupCommit(store, deadline_seconds=deadline_seconds, clock=clock, on_change=on_change)

    # --- writing ---------------------------------------------------------------------------------

    async def __aenter__(self) -> AuditLog:
        self._commits.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._commits.stop()

    async def record(
        self, action: str, *, user_id: str | None, details: Mapping[str, Any], request_id: str | None = None
    ) -> Receipt:
        """Durable on return. Raises ValueError for what can never be a record, AuditUnavailable with nothing promised.

        Details of any size: what is too long for a line is stored as its digest, and kept whole first where that is wanted.
        """
        record = whole_draft(action, user_id, details, request_id)
        if len(record.details) > MAX_DETAILS_BYTES and self._commits.closed_because is None:  # while closed, commit refuses it
            record = await self._long.fit(record)
        return await self._commits.commit(record)

    @property
    def closed_because(self) -> str | None:
        """Why nothing can be recorded now; None when all is well."""
        return self._commits.closed_because

    def is_in_place(self) -> bool:
        """A cheap look: whether the log is still where it was, and no shorter. Writes nothing."""
        return self._store.is_in_place()

    # --- birth -----------------------------------------------------------------------------------

    def exists(self) -> bool:
        return self._store.exists()

    def is_empty(self) -> bool:
        """No log yet, or one whose first record was never written."""
        return not self._store.exists() or self.size() == 0

    def has_one_record(self) -> bool:
        """Only its first, so that nothing happened since it was begun."""
        head = self._store.durable()
        return head is not None and head.seq == 0

    def create(self, details: Mapping[str, Any]) -> Receipt:
        """Begin a log that is not there yet. Blocks. Raises AuditCorrupt if there is one."""
        receipts: list[Receipt] = []

        def build(head: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
            return self._first_line(draft("log.opened", None, details), receipts)

        self._store.create(build)
        return receipts[0]

    def begin_another(self, details: Mapping[str, Any]) -> Receipt:
        """Set the present log aside and begin a new one whose first record names the old head. Blocks."""
        receipts: list[Receipt] = []

        def build(old: LogEnd | None, kept_as: str | None) -> Batch:
            head = None if old is None else {"seq": old.seq, "hash": old.hash, "size": old.size}
            opened = draft("log.opened", None, {**details, "previous": {"kept_as": kept_as, "head": head}})
            return self._first_line(opened, receipts)

        self._store.retire(build)
        return receipts[0]

    def _first_line(self, opened: Draft, receipts: list[Receipt]) -> Batch:
        data, made, end = link([opened], EMPTY, self._clock())
        receipts.extend(made)
        return Batch(data, end)

    def recover(self) -> None:
        """At start: set a torn tail aside and record that, and check that the end is what was last written.

        Blocks. Raises AuditCorrupt for a log that is shorter than it was or whose end does not verify, AuditUnavailable.
        """
        append(self._store.recover, [], self._clock)

    def close_until_writable(self, why: str) -> None:
        """Before the start: refuse every record until one more `settle`, tried once a second, succeeds."""
        self._commits.close(why)

    # --- reading ---------------------------------------------------------------------------------

    def size(self) -> int:
        """The length in bytes, taken under the lock: whole records, unless a writer died. Needs no right to write."""
        return self._store.size()

    def lines(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The stored lines between two bytes; *end* is by default the length that the file has under the lock now."""
        return split_lines(self._store.chunks(self.size() if end is None else end, start))

    def first_details(self) -> dict[str, Any]:
        """What the first record says of the log: its origin, its key. Empty where there is none, or it cannot be read."""
        try:
            details = parse_line(next(self.lines(), b""))["details"]
        except (ValueError, KeyError):
            return {}
        return details if isinstance(details, dict) else {}

    def verify(self, receipts: Iterable[Receipt] = ()) -> ChainReport:
        """Check bytes, links and *receipts*; signatures and the tree are `verification.py`'s."""
        return check(split_lines(self._store.chunks(self._store.size())), receipts)

    def close(self) -> None:
        """Let go of the files, unless a writer still hangs in one: its descriptor must not come to name another file."""
        if not self._commits.is_hung:
            self._store.close()
