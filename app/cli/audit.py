"""The `audit` commands: one thin function each."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from ..admin import export_log, import_log, prepare_ledger, show_log, verify_log
from ..admin.evidence_pack.pack import pack_evidence
from ..admin.evidence_pack.verify_pack import verify_pack
from ..errors import InvalidRequest, VerificationFailed
from ..kit.moments import since as since_moment
from .audit_forward import audit_forward
from .audit_report import log_document, log_text, no_receipt_document, receipt_document, receipt_text
from .output import Json, header, one_line, printable, receipt_name, say
from .pack_report import pack_document, pack_text, packed_document, packed_text
from .progress import progress_bar
from .record_export import RecordFormat, write_records
from .usage import WrongUsage, argument, one_each

audit = typer.Typer(add_completion=False, no_args_is_help=True)
audit.command("forward")(audit_forward)


@audit.command("verify")
def audit_verify(
    receipt: Annotated[list[str] | None, typer.Option(help="SEQ:HASH of an answer; may be repeated.", callback=one_each)] = None,
    checkpoint: Annotated[list[Path] | None, typer.Option(help="A signed checkpoint that you kept; may be repeated.")] = None,
    vkey: Annotated[Path | None, typer.Option(help="The log's verifier key, as GET /audit/vkey gave it.")] = None,
    log: Annotated[Path | None, typer.Option(help="An exported log, instead of the one of this installation.")] = None,
    as_json: Json = False,
) -> None:
    """Check bytes, links, signatures, receipts and checkpoints. Exit status 1 on any problem."""
    with argument("--receipt", InvalidRequest):
        for text in receipt or []:
            verify_log.parse_receipt(text)
    with progress_bar(quiet=as_json) as show:
        verified = verify_log.verify(receipt or [], checkpoint or [], vkey, log, progress=show)
    say(log_document(verified), as_json, log_text(verified))
    sys.exit(0 if verified.report.ok else 1)


@audit.command("verify-receipt")
def audit_verify_receipt(
    file: Annotated[Path, typer.Argument(help="A receipt, as GET /audit/receipts/{seq} gave it (C2SP tlog-proof).")],
    vkey: Annotated[Path, typer.Option(help="The log's verifier key, as GET /audit/vkey gave it.")],
    as_json: Json = False,
) -> None:
    """Check one receipt without log, service or settings. Exit status 1 if it proves nothing."""
    try:
        proven = verify_log.verify_receipt_file(file, vkey)
    except VerificationFailed as error:
        say(no_receipt_document(error.detail), as_json, f"PROVES NOTHING: {error.detail}")
        sys.exit(1)
    say(receipt_document(proven), as_json, receipt_text(proven))


@audit.command("show")
def audit_show(
    request_id: Annotated[str | None, typer.Option(help="Only the records of this request. The first digits are enough.")] = None,
    asserted_user: Annotated[
        str | None, typer.Option(help="Only questions that a front end asked for the user of this id; nothing proves it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The records, oldest first."""
    wanted = {"request id": request_id, "asserted user": asserted_user}
    named = " and the ".join(f"{what} {printable(name)}" for what, name in wanted.items() if name is not None)
    found = list(show_log.records(request_id, asserted_user)) if named else show_log.records()
    if not found and not as_json:
        print(f"No record has the {named}.", file=sys.stderr)
        return
    _print_records(found, as_json)


@audit.command("tail")
def audit_tail(
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many.")] = 10,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show new records until interrupted.")] = False,
    as_json: Json = False,
) -> None:
    """The last records. --follow shows new ones as they come (with --json, one document a line)."""
    if not follow:
        _print_records(show_log.last_records(lines), as_json)
        return
    if not as_json:
        print(header(), flush=True)
    for record in show_log.follow(lines):
        print(json.dumps(record) if as_json else one_line(record), flush=True)


@audit.command("export")
def audit_export(
    to: Annotated[
        Path | None,
        typer.Argument(help="The new file; its tree and long texts go beside it. With --format it may be left out, for stdout."),
    ] = None,
    form: Annotated[RecordFormat | None, typer.Option("--format", help="Records for other programs, instead of a copy.")] = None,
    since: Annotated[str | None, typer.Option(help="Only records from then on: 2026-11-26, 2026-11-26T10:00:00Z, 7d.")] = None,
    until: Annotated[str | None, typer.Option(help="Only records from before then.")] = None,
    no_content: Annotated[bool, typer.Option("--no-content", help="Digests in place of what was asked and answered.")] = False,
    as_json: Json = False,
) -> None:
    """Copy the log byte for byte, for audit verify --log and for tools/verify_log.py.

    Exit status 1 if it is not what was signed: then the copy is evidence of that. With --format:
    its records as events of OCSF 1.8, as the stored lines, or as a table.
    """
    if form is not None:
        write_records(form, to, since, until, no_content=no_content, as_json=as_json)
        return
    if to is None or since or until or no_content:
        raise WrongUsage("A copy is whole: name the new file, or a --format for --since, --until and --no-content.")
    with progress_bar(quiet=as_json, verb="exporting") as show:
        done = export_log.export_log(to, show)
    document = {"log": str(done.log), "bytes": done.size, "signed": done.signed, "texts": done.texts, "problem": done.problem}
    of_them = "nothing of it is signed" if done.signed is None else f"{done.signed:,} records of it are signed"
    say(document, as_json, f"{done.log}: {done.size:,} bytes; {done.problem or of_them}")
    sys.exit(0 if done.problem is None else 1)


@audit.command("prepare")
def audit_prepare(
    role: Annotated[str | None, typer.Option(help="Who may read and append; by default the role in AUDIT_URL.")] = None,
    as_json: Json = False,
) -> None:
    """Make the ledger in the database of AUDIT_URL, and its role. Needs AUDIT_ADMIN_URL."""
    done = prepare_ledger.prepare_ledger(role)
    document = {"role": done.role, "is_new_role": done.is_new_role, "is_new_ledger": done.is_new_ledger}
    ledger = "made the ledger" if done.is_new_ledger else "the ledger was there"
    made = f"made the role {done.role}{'' if done.has_password else ', which has no password yet'}"
    role_text = made if done.is_new_role else f"the role {done.role} was there"
    say(document, as_json, f"{ledger}; {role_text}; it may read the ledger and append to it")


@audit.command("import")
def audit_import(as_json: Json = False) -> None:
    """Move the log of AUDIT_LOG_PATH into the empty ledger of AUDIT_URL. Needs AUDIT_ADMIN_URL.

    The same lines, key and signed checkpoint. No process writes the file after that.
    """
    with progress_bar(quiet=as_json, verb="importing") as show:
        done = import_log.import_log(show)
    receipt = receipt_name(done.receipt.seq, done.receipt.hash) if done.receipt else None
    document = {"records": done.records, "bytes": done.size, "file": str(done.file), "receipt": receipt}
    say(document, as_json, f"{done.records:,} records are in the ledger; the file is {done.file} now, and nothing writes it")


@audit.command("pack")
def audit_pack(
    to: Annotated[Path, typer.Option(help="The new ZIP file.")],
    since: Annotated[
        str | None, typer.Option(help="From 2026-11-23, 2026-11-23T09:15:00Z or 30d ago on. Left out: from the first record.")
    ] = None,
    no_content: Annotated[bool, typer.Option("--no-content", help="Only the digests of the records, not what they say.")] = False,
    as_json: Json = False,
) -> None:
    """A part of the log that a stranger can check: records, proof, key, verifiers, verdict, report.

    Exit status 1 if the log is not sound: then the pack is evidence of that.
    """
    with argument("--since", InvalidRequest):
        moment = None if since is None else _moment(since)
    with progress_bar(quiet=as_json, verb="packing") as show:
        done = pack_evidence(to, moment, log_document, content=not no_content, progress=show)
    say(packed_document(done), as_json, packed_text(done))
    sys.exit(0 if done.verdict.ok else 1)


@audit.command("verify-pack")
def audit_verify_pack(
    pack: Annotated[Path, typer.Argument(help="An evidence pack, as audit pack wrote it.")],
    vkey: Annotated[
        Path | None, typer.Option(help="The log's verifier key that you kept. Without it nobody knows who made the pack.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check an evidence pack without log, service or settings. Exit status 1 on any problem."""
    key = None if vkey is None else verify_log.parse_key(vkey)
    try:
        with progress_bar(quiet=as_json) as show:
            verified = verify_pack(pack, key, show)
    except VerificationFailed as error:
        say({"ok": False, "problems": [{"seq": None, "problem": error.detail}]}, as_json, f"PROVES NOTHING: {error.detail}")
        sys.exit(1)
    say(pack_document(verified), as_json, pack_text(verified))
    sys.exit(0 if verified.ok else 1)


def _moment(text: str) -> str:
    try:
        return since_moment(text, datetime.now(UTC))
    except ValueError as error:
        raise InvalidRequest(f"{str(error)[0].upper()}{str(error)[1:]}.") from None


def _print_records(records: Iterable[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(list(records)))
        return
    print(header())
    for record in records:
        print(one_line(record))
