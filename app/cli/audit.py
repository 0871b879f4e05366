"""The `audit` commands: one thin function each."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import VerificationFailed
from .audit_report import _document, _receipt_document, _text
from .output import Json, one_line, say
from .progress import progress_bar

audit = typer.Typer(help="Read and verify the audit log.", no_args_is_help=True)


@audit.command("verify")
def audit_verify(
    receipt: Annotated[list[str] | None, typer.Option(help="SEQ:HASH of an answer; may be repeated.")] = None,
    checkpoint: Annotated[list[Path] | None, typer.Option(help="A signed head that you kept; may be repeated.")] = None,
    vkey: Annotated[Path | None, typer.Option(help="The log's verifier key, as GET /audit/vkey gave it.")] = None,
    as_json: Json = False,
) -> None:
    """Check every byte, link and signature, and that receipts and kept heads still hold. Exit status 1 on any problem."""
    from ..admin import verify_log as audit_verifying

    with progress_bar(quiet=as_json) as show:
        verified = audit_verifying.verify(receipt or [], checkpoint or [], vkey, progress=show)
    say(_document(verified), as_json, _text(verified))
    sys.exit(0 if verified.report.ok else 1)


@audit.command("verify-receipt")
def audit_verify_receipt(
    file: Annotated[Path, typer.Argument(help="A receipt, as GET /audit/receipts/{seq} gave it (C2SP tlog-proof).")],
    vkey: Annotated[Path, typer.Option(help="The log's verifier key, as GET /audit/vkey gave it.")],
    as_json: Json = False,
) -> None:
    """Check one receipt by itself: no log, no service, no settings. Exit status 1 if it proves nothing."""
    from ..admin import verify_log as audit_verifying

    try:
        proven = audit_verifying.verify_receipt_file(file, vkey)
    except VerificationFailed as error:
        nothing = {"ok": False, "seq": None, "record": None, "checkpoint": None, "problem": error.detail}
        say(nothing, as_json, f"PROVES NOTHING: {error.detail}")
        sys.exit(1)
    document = _receipt_document(proven)
    head = f"a signed head of {proven.checkpoint.origin} over {proven.checkpoint.size} records"
    say(document, as_json, f"{one_line(document['record'])}\nOK: this is record {proven.seq}, under {head}")


@audit.command("show")
def audit_show(
    request_id: Annotated[str | None, typer.Option(help="Only the records of this request.")] = None,
    as_json: Json = False,
) -> None:
    """The records, oldest first."""
    from ..admin import show_log as audit_reading

    _print_records(audit_reading.records(request_id), as_json)


@audit.command("tail")
def audit_tail(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000)] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until interrupted.")] = False,
    as_json: Json = False,
) -> None:
    """The last records; --follow goes on as they come (with --json, one document a line)."""
    from ..admin import show_log as audit_reading

    if not follow:
        _print_records(audit_reading.last_records(lines), as_json)
        return
    for record in audit_reading.follow(lines):
        print(json.dumps(record) if as_json else one_line(record), flush=True)


def _print_records(records: Iterable[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(list(records)))
        return
    for record in records:
        print(one_line(record))
