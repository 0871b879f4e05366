"""Puts the lines of a file log into an empty ledger, as they are. For an administrator."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from itertools import islice
from typing import Any

import psycopg

from ....errors import AuditUnavailable, ConfigError
from ....kit.postgres_faults import what_failed
from ...format.record import EMPTY, LogEnd
from .load import load
from .place import LedgerPlace
from .session import conninfo

BATCH_LINES = 256
LAST = "SELECT size, last_seq, hash FROM audit.batches ORDER BY last_seq DESC LIMIT 1"
AT = "SELECT size, last_seq, hash FROM audit.batches WHERE last_seq = %s"


def import_lines(place: LedgerPlace, lines: Iterable[bytes], end: LogEnd) -> bool:
    """Add *lines*, which end at *end*, at once; durable on return. False: they are there.

    *place* has an administrator's URL. The caller has verified that they chain. Raises ConfigError
    where the ledger has other records, AuditUnavailable.
    """
    warnings: list[str] = []
    try:
        with closing(psycopg.connect(conninfo(place, place.admin_url), autocommit=True)) as connection:
            connection.execute("SET synchronous_commit = on")
            connection.add_notice_handler(lambda one: warnings.append(f"{one.severity_nonlocalized} {one.message_primary}"))
            with connection.transaction():
                connection.execute("LOCK TABLE audit.gate IN EXCLUSIVE MODE")
                is_new = connection.execute(LAST).fetchone() is None
                if is_new:
                    _load_all(connection, lines, end)
                elif connection.execute(AT, [end.seq]).fetchone() != (end.size, end.seq, end.hash):
                    raise ConfigError("The ledger in AUDIT_URL has records that this log does not begin with: name an empty one.")
                connection.execute("SELECT pg_logical_emit_message(true, 'audit', '')")  # what is there is durable, too
    except psycopg.Error as error:
        raise AuditUnavailable(f"The ledger in AUDIT_URL cannot be filled: {what_failed(error)}.") from error
    if found := [one for one in warnings if one.startswith("WARNING")]:
        raise AuditUnavailable(f"The records were written, and are perhaps not durable ({found[-1]}): run this again.")
    return is_new


def _load_all(connection: psycopg.Connection[Any], lines: Iterable[bytes], end: LogEnd) -> None:
    left, at = iter(lines), EMPTY
    while some := list(islice(left, BATCH_LINES)):
        at = load(connection, b"".join(some), at)
    if at != end:
        raise AuditUnavailable("The file of the log was changed while it was read: run this again.")
