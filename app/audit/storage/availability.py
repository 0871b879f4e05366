"""Whether the log takes records, and if not: why, since when, and how many were refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from ...errors import AuditUnavailable

PROBE_SECONDS = 1.0
"""While the log is closed, how often the writer thread tries to append `log.resumed`."""
RETRY_AFTER_SECONDS = 2 * PROBE_SECONDS


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe saw when it began: the refusals that it records, and which closing it ends."""

    refused: int
    closings: int


class Availability:
    """Changed on the event loop only; the writer thread reads it."""

    def __init__(self, on_change: Callable[[str, str], None]) -> None:
        self._on_change = on_change
        self._closings = 0
        self._closed_at: float | None = None
        self.closed_because: str | None = None
        """Why nothing can be recorded now; None while the log is open."""
        self._refused = 0

    def refusal(self) -> AuditUnavailable:
        """The error for one more caller who is refused."""
        self._refused += 1
        return AuditUnavailable(retry_after=RETRY_AFTER_SECONDS)

    def close(self, why: str) -> bool:
        """Refuse every record until a probe succeeds. False: the log was closed already."""
        if self.closed_because is not None:
            return False
        self.closed_because = why
        self._closed_at = time.monotonic()
        self._closings += 1
        self._on_change("audit_closed", why)
        return True

    def probe(self) -> Probe:
        return Probe(self._refused, self._closings)

    def needs_probe(self, ended: int) -> bool:
        """Whether the log is closed, by a later closing than number *ended*.

        The event loop may learn late that a probe has ended that one: a second probe would record
        the end of a closing that is over.
        """
        return self.closed_because is not None and self._closings > ended

    def closed_seconds(self) -> float:
        return 0.0 if self._closed_at is None else time.monotonic() - self._closed_at

    def reopen(self, probe: Probe) -> None:
        """A probe succeeded. The log stays closed if it was closed again after that probe began."""
        self._refused -= probe.refused
        if probe.closings == self._closings:
            self.closed_because = self._closed_at = None
            self._on_change("audit_resumed", f"{probe.refused} records were refused")
