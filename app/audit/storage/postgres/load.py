"""Adds lines that were linked elsewhere to a ledger, as they are. For an administrator."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from ...format.record import LogEnd, hash_of, seq_of, split_lines
from .schema import OWNER

COPY = "COPY audit.lines (seq, ends, line) FROM STDIN (FORMAT BINARY)"
BATCH = "INSERT INTO audit.batches VALUES (%s, %s, %s, gen_random_uuid(), 1, '', clock_timestamp())"


def load(connection: psycopg.Connection[Any], data: bytes, end: LogEnd) -> LogEnd:
    """Add the whole lines of *data* after *end*, as one batch; the new end.

    The caller has a transaction, holds the gate, and has verified that the lines chain. Raises
    ValueError where one has not the number that follows.
    """
    rows, size, seq = [], end.size, end.seq
    for line in split_lines([data]):
        seq, size = seq + 1, size + len(line)
        if seq_of(line) != seq or not line.endswith(b"\n"):
            raise ValueError(f"this is not record {seq}")
        rows.append((seq, size, line))
    digest = hash_of(rows[-1][2]) or ""
    connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(OWNER)))
    connection.execute("SELECT audit.add_partitions(%s)", [seq])
    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.set_types(["int8", "int8", "bytea"])
        for row in rows:
            copy.write_row(row)
    connection.execute(BATCH, [seq, size, digest])
    connection.execute("RESET ROLE")
    return LogEnd(size, seq, digest)
