"""What a receiver of records gets, and how it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ..siem.ocsf import HIGH, LOW, MEDIUM, kind_of
from ..siem.record import LoggedRecord


@dataclass(frozen=True, slots=True)
class Event:
    record: LoggedRecord
    body: bytes
    """JSON."""

    @property
    def severity_id(self) -> int:
        """As OCSF counts them."""
        return kind_of(self.record.action).severity_id


SEVERITIES = (LOW, MEDIUM, HIGH)
"""Above informational."""


class NotDelivered(Exception):
    """The receiver did not confirm what was sent: it may have some of it, or all, or nothing."""

    def __init__(self, why: str, *, retry_after: float | None = None, is_too_large: bool = False) -> None:
        """*is_too_large*: fewer at one time may be taken."""
        super().__init__(why)
        self.why, self.retry_after, self.is_too_large = why, retry_after, is_too_large


class Sender(Protocol):
    def send(self, events: Sequence[Event]) -> None:
        """Return once the receiver has confirmed all of them. Blocks. Raises NotDelivered."""

    def close(self) -> None: ...
