"""Writes records for other programs: as lines, as a table, or as events of OCSF."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TextIO

import orjson

from ..audit.format.note import verify_checkpoint
from ..errors import InvalidRequest, VerificationFailed
from ..settings import Settings, load_settings
from ..telemetry.siem.columns import write_csv, write_parquet
from ..telemetry.siem.ocsf import Chain, event_of
from ..telemetry.siem.record import LoggedRecord, read_all
from ..wiring.audit import open_audit, signed_note
from ..wiring.start_checks import verify_setup
from .verify_log import own_key

Format = Literal["jsonl", "csv", "parquet", "ocsf"]
SIGNED_BY = {"algorithm": "Ed25519", "algorithm_id": 99}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Records written from *since* on and before *until*; None: without that bound."""

    since: datetime | None = None
    until: datetime | None = None
    has_texts: bool = True
    """Whether what was asked and answered is in it, or digests of that."""


def export_records(form: Format, to: Path | None, wanted: Wanted) -> int:
    """How many records were written to the new file *to*, or to stdout.

    Raises ConfigError, InvalidRequest where *to* exists or cannot be stdout, EvidenceUnavailable,
    OSError.
    """
    settings = load_settings()
    verify_setup(settings)
    if to is None and form == "parquet":
        raise InvalidRequest("Parquet is no text: name a file to write to.")
    # The checkpoint first: then the log has all that it covers.
    chain = chain_of(settings) if form == "ocsf" else Chain("")
    log = open_audit(settings)
    try:
        lines = log.lines(end=log.durable_size())
        records = read_all(lines, wanted.since, wanted.until, with_texts=wanted.has_texts)
        if form == "parquet":
            assert to is not None
            with _new_file(to) as part:
                return write_parquet(records, part)
        with _text_file(to) as file:
            return write_csv(records, file) if form == "csv" else _write_lines(form, records, chain, file)
    finally:
        log.close()


def chain_of(settings: Settings) -> Chain:
    """The log's name, and its signed checkpoint, if our key signed it."""
    key, note = own_key(settings), signed_note(settings)
    if key is None or note is None:
        return Chain(_named(settings))
    try:
        checkpoint = verify_checkpoint(note, key)
    except VerificationFailed:  # `audit verify` says so; an export is no place to hide records
        return Chain(key.name)
    return Chain(checkpoint.origin, checkpoint.size, [SIGNED_BY | {"checkpoint": note.decode()}])


def _named(settings: Settings) -> str:
    log = open_audit(settings)
    try:
        return str(log.first_details().get("origin", settings.audit_origin))
    finally:
        log.close()


def line_of(form: Literal["jsonl", "ocsf"], record: LoggedRecord, chain: Chain) -> bytes:
    """Without its newline. A line of `jsonl` with its texts is the stored one, byte for byte."""
    if form == "ocsf":
        return orjson.dumps(event_of(record, chain))
    return record.line if record.has_texts else orjson.dumps(record.members)


def _write_lines(form: Literal["jsonl", "ocsf"], records: Iterator[LoggedRecord], chain: Chain, to: TextIO) -> int:
    count = 0
    for record in records:
        to.write(line_of(form, record, chain).decode("utf-8", "replace") + "\n")
        count += 1
    return count


@contextmanager
def _text_file(to: Path | None) -> Iterator[TextIO]:
    if to is None:
        yield sys.stdout
        return
    with _new_file(to) as part, part.open("x", encoding="utf-8", newline="") as file:
        yield file


@contextmanager
def _new_file(to: Path) -> Iterator[Path]:
    """A file beside *to*, which becomes *to* once it is whole. Only its owner may read it."""
    if to.exists():
        raise InvalidRequest(f"{to} is there already, and is not overwritten: name a new file.")
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    before = os.umask(0o077)
    try:
        yield part
        os.rename(part, to)
    finally:
        os.umask(before)
        part.unlink(missing_ok=True)
