"""What the audit log needs from its storage. One list of tests runs on every implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..format.chain import link
from ..format.record import Draft, LogEnd, Receipt, draft


@dataclass(frozen=True, slots=True)
class Recovery:
    """A torn tail that was set aside: its length in bytes, and the file that has it now."""

    size: int
    sha256: str
    kept_as: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines to append, each with its newline, and the end of the log after them."""

    data: bytes
    end: LogEnd


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found, where it found no stranger."""

    stamp: tuple[int, ...]
    """Changes whenever the log's file does, or its table."""
    changed_at: float
    """When that was, in Unix seconds."""
    are_locks_intact: bool
    """Both lock files are the ones that were there before, and the marks can be read."""


Build = Callable[[LogEnd, tuple[Recovery, ...]], Batch]
"""Makes the lines that follow an end of the log. They begin with a record of each recovery."""


@dataclass(slots=True)
class Addition:
    """Records to append. A file's store links them by calling this; a database links *records*."""

    records: Sequence[Draft]
    clock: Callable[[], str]
    """For the timestamps of a store that has no clock of its own."""
    after: int | None = None
    """Append them only if this is the number of the last record."""
    receipts: list[Receipt] = field(default_factory=list)
    """Of *records*, once they are linked."""

    def __call__(self, end: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
        """A Build, for a store that calls it once and under its lock."""
        own = self.records if self.after in (None, end.seq) else []
        data, made, new_end = link([*map(recovered_draft, recovered), *own], end, self.clock())
        self.receipts.extend(made[len(recovered) :])
        return Batch(data, new_end)


def recovered_draft(recovery: Recovery) -> Draft:
    """The record `log.recovered`, which names the file that has the torn tail."""
    details = {"bytes": recovery.size, "sha256": recovery.sha256, "kept_as": recovery.kept_as}
    return draft("log.recovered", None, details)


class AuditStore(Protocol):
    def append(self, addition: Addition, /) -> None:
        """Link the records of *addition* to the end of the log; durable on return.

        Blocks: call it off the event loop. Only one process at a time writes; one sync may cover
        the lines of several. A file's store calls *addition* once, under a lock, with the torn
        tails that were set aside and are not recorded yet: its lines record them. Only the
        beginning of a record is a torn tail; AuditCorrupt where other bytes follow the last record.

        Raises AuditUnavailable or AuditCorrupt. Then nothing is acknowledged: what was written of
        this batch is removed again, or the next append of any process finds and judges it. A
        failed sync is repaired at most once, by writing the lines again; the caller must not retry.
        """

    def recover(self, addition: Addition, /, *, at_start: bool = False) -> None:
        """Append, after a check of the last record.

        *at_start*: while no service uses the log, whatever a loss of power left after the last
        record is set aside. Raises AuditCorrupt if that record is not what was last written, and
        whatever `append` raises.
        """

    def create(self, addition: Addition, /) -> None:
        """Append the first records of a new log.

        Raises AuditCorrupt if the log has a line, or ever had one.
        """

    def retire(self, build: Callable[[LogEnd | None, str | None], Batch]) -> None:
        """Rename the present log, whatever its state, and begin another; or change nothing.

        *build* gets the end of the old log (None: unknown), and its new name (None: there was no
        log). It makes the first lines of the new one.
        """

    def durable(self) -> LogEnd | None:
        """The durable end of the log a moment ago; the bytes before it never change. None: unknown.

        Takes no lock, so a reader never delays a writer. It may lag until the next append. What is
        past it must not be signed, served, exported or forwarded, though `chunks` may show it.
        """

    def size(self) -> int:
        """The length in bytes, taken under the lock, whatever the state of the log.

        A file counts records that are written and not durable yet, a database does not. Needs no
        right to write. In a database it is the sum of the lines' lengths: a byte has the same place
        as in the exported file.
        """

    def chunks(self, end: int, start: int = 0) -> Iterator[bytes]:
        """The stored bytes from *start* to *end*, in pieces of any size, without the lock."""

    def exists(self) -> bool:
        """Whether there is a log, even an empty one."""

    def is_in_place(self) -> bool:
        """The log is still at its path, and no shorter than it was. Cheap; takes no lock."""

    def look(self) -> Look:
        """Raises AuditCorrupt where a stranger replaced, removed, cut or lengthened the log.

        A few system calls. Raises EvidenceUnavailable where it cannot be looked at.
        """

    def accept_files(self) -> None:
        """The next `look` takes the files that are there then for ours."""

    def close(self) -> None:
        """Close the files. Idempotent."""


class TextStore(Protocol):
    """Keeps texts that are too long for a record, by their SHA-256 in hex."""

    def exists(self) -> bool:
        """Whether a text was ever kept. Raises OSError."""

    def keep(self, texts: Mapping[str, bytes]) -> None:
        """Write the texts that are missing; durable on return. The keys are SHA-256 in hex. Blocks.

        Raises AuditUnavailable; some of *texts* may be kept then.
        """

    def read(self, sha256: str) -> bytes | None:
        """What is kept under this name, unverified. None: nothing is. Raises OSError."""

    def digest_of(self, sha256: str) -> bytes | None:
        """The SHA-256 of what is kept under this name. None: nothing is. Raises OSError."""

    def close(self) -> None:
        """Close what is open. Idempotent."""
