"""Records as a table: the columns that CSV and Parquet share."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import orjson

from ...errors import InvalidRequest
from .record import LoggedRecord

COLUMNS = (
    *("seq", "timestamp", "request_id", "user_id", "action", "model", "code", "status", "address"),
    *("received", "input_tokens", "output_tokens", "elapsed_ms", "details", "prev_hash", "hash"),
)
NUMBERS = frozenset({"seq", "status", "received", "input_tokens", "output_tokens", "elapsed_ms"})
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet may take for a formula (OWASP, CSV Injection)."""
GROUP_ROWS = 10_000


def row_of(record: LoggedRecord) -> dict[str, Any]:
    details = record.details
    usage = details.get("usage")
    tokens = usage if isinstance(usage, dict) else {}
    found = {**{name: getattr(record, name) for name in ("seq", "timestamp", "request_id", "user_id", "action")}}
    found |= {name: details.get(name) for name in ("model", "code", "status", "address", "received", "elapsed_ms")}
    found |= {name: tokens.get(name) for name in ("input_tokens", "output_tokens")}
    found |= {"details": orjson.dumps(details).decode(), "prev_hash": record.prev_hash, "hash": record.hash}
    return {name: _fitting(name, found[name]) for name in COLUMNS}


def write_csv(records: Iterable[LoggedRecord], to: TextIO, *, names: bool = True) -> int:
    """RFC 4180, with a line of *names*; how many records. A text that is a formula gets a `'`."""
    writer, count = csv.writer(to), 0
    if names:
        writer.writerow(COLUMNS)
    for record in records:
        writer.writerow([_plain(value) for value in row_of(record).values()])
        count += 1
    return count


def write_parquet(records: Iterable[LoggedRecord], to: Path) -> int:
    """How many records. Raises InvalidRequest where the extra `parquet` is missing."""
    try:
        import pyarrow  # type: ignore[import-untyped]  # late: an extra
        import pyarrow.parquet  # type: ignore[import-untyped]  # late: as above
    except ImportError:
        raise InvalidRequest("Parquet needs pyarrow: install the extra `parquet`, or take --format csv.") from None
    kinds = {name: pyarrow.int64() if name in NUMBERS else pyarrow.string() for name in COLUMNS}
    kinds["timestamp"] = pyarrow.timestamp("us", tz="UTC")
    schema, count = pyarrow.schema(list(kinds.items())), 0
    with pyarrow.parquet.ParquetWriter(to, schema, compression="zstd") as writer:
        for rows in _groups(records):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            count += len(rows)
    return count


def _groups(records: Iterable[LoggedRecord]) -> Iterator[list[dict[str, Any]]]:
    rest = iter(records)
    while group := [row_of(record) | {"timestamp": record.moment} for record in islice(rest, GROUP_ROWS)]:
        yield group


def _fitting(name: str, value: Any) -> Any:
    """What does not fit its column stays in `details` alone."""
    if name in NUMBERS:
        return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else None
    return value if isinstance(value, str) else None


def _plain(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
