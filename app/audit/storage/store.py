"""What the audit log asks of its storage. One list of tests runs on every implementation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from ..format.record import LogEnd


@dataclass(frozen=True, slots=True)
class Recovery:
    """A torn tail that was found and set aside: what it was, and where it is now."""

    size: int
    sha256: str
    kept_as: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines to append, each with its newline, and the head once they stand."""

    data: bytes
    head: LogEnd


Build = Callable[[LogEnd, tuple[Recovery, ...]], Batch]


class AuditStore(Protocol):
    def append(self, build: Build) -> None:
        """Write the lines that *build* makes for the current head; durable on return.

        Blocks: call it off the event loop. Writing is exclusive over all processes; one sync may be for many of them. *build*
        is called once, under a lock, with the torn tails that were set aside and are not recorded yet: its lines record
        them. Raises AuditUnavailable or AuditCorrupt with nothing acknowledged: what was written of this batch is taken away
        again, or found and judged by the next append of anyone. A failed sync is mended at most once, by writing anew; the
        caller must not retry.
        """

    def recover(self, build: Build) -> None:
        """Append, after a look at the last record. Raises AuditCorrupt if it is not what was last written."""

    def create(self, build: Build) -> None:
        """Append the first lines of a log that does not exist yet, or never had a line. Raises AuditCorrupt if it has or had."""

    def retire(self, build: Callable[[LogEnd | None, str | None], Batch]) -> None:
        """Set the present log aside whatever its state, and begin another with the lines that *build* makes; or change nothing.

        *build* is given the old head, as far as it can be told, and the old log's new name (None: there was no log).
        """

    def durable(self) -> LogEnd | None:
        """Where the durable log ended a moment ago; what stands before it never changes. None: nothing is known yet.

        Takes no lock, so that reading never keeps a writer waiting. It may lag behind the log until the next append.
        """

    def size(self) -> int:
        """The length in bytes, taken under the lock, whatever the log's state: also of records that no sync has covered yet.

        Needs no right to write.
        """

    def chunks(self, end: int, start: int = 0) -> Iterator[bytes]:
        """The stored bytes from *start* to *end*, in pieces of any size, without the lock."""

    def exists(self) -> bool:
        """Whether there is a log, even an empty one."""

    def is_in_place(self) -> bool:
        """A cheap look, without the lock: whether the log is still where it was, and no shorter."""

    def close(self) -> None:
        """Let go of files. Idempotent."""
