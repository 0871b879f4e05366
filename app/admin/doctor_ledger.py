"""`doctor`: whether the server in AUDIT_URL can keep the log, its clock, and who signs now."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from ..audit.storage.postgres.place import LedgerPlace
from ..settings import Settings
from ..wiring.audit import is_served
from ..wiring.start_checks import server_warnings
from .doctor_findings import Finding, note, ok, trouble

APART_SECONDS = 5.0


def look(settings: Settings) -> Iterator[Finding]:
    """Raises ConfigError for a server that cannot keep the log, EvidenceUnavailable."""
    ledger = settings.ledger
    if ledger is None:
        return
    yield from map(note, server_warnings(settings))
    yield from _look_at_clock(ledger)
    signs = "a node signs its end now" if is_served(settings) else "no node signs it now"
    yield ok(f"The server in AUDIT_URL keeps what it acknowledges, the role may only read and append, and {signs}.")


def _look_at_clock(ledger: LedgerPlace) -> Iterator[Finding]:
    from ..audit.storage.postgres.reader import Reader  # late: its driver is an extra

    with closing(Reader(ledger)) as reader:
        apart = reader.now() - time.time()
    if abs(apart) > APART_SECONDS:
        yield trouble(f"The clock of the database is {apart:+,.0f} s from the one here: set the one that is wrong.")
