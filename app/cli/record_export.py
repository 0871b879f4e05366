"""`audit export --format`: records for other programs."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from ..admin.export_records import Wanted, export_records
from ..errors import InvalidRequest
from ..kit.moments import since as moment_of
from .output import say
from .usage import argument


class RecordFormat(StrEnum):
    OCSF = "ocsf"
    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


def write_records(
    form: RecordFormat, to: Path | None, since: str | None, until: str | None, *, no_content: bool, as_json: bool
) -> None:
    """Raises InvalidRequest."""
    wanted = Wanted(_point("--since", since), _point("--until", until), has_texts=not no_content)
    count = export_records(form.value, to, wanted)
    if to is None:
        with suppress(BrokenPipeError):  # `head` has read enough
            sys.stdout.flush()
        print(f"{count:,} records", file=sys.stderr)
        return
    say({"file": str(to), "format": form.value, "records": count}, as_json, f"{to}: {count:,} records")


def _point(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    with argument(option, InvalidRequest):
        try:
            return datetime.fromisoformat(moment_of(text, datetime.now(UTC)))
        except ValueError as error:
            raise InvalidRequest(f"{error}.") from None
