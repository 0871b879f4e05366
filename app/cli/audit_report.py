"""What `audit verify` and `audit verify-receipt` print: a JSON document or text."""

from __future__ import annotations

import base64
from typing import Any

from ..admin.show_log import read
from ..admin.verify_log import Verified
from ..audit.format.receipt import ProvenRecord
from ..audit.verification.kept_texts import TextsReport
from ..audit.verification.report import Report, Verdict
from .output import one_line

MAX_NUMBERS = 100
MAX_NUMBERS_IN_TEXT = 10


def log_document(verified: Verified) -> dict[str, Any]:
    report, last = verified.report, verified.report.last_record
    return {
        "ok": report.ok,
        "entries": report.entries,
        "head": {"seq": last.seq, "hash": last.hash} if last else None,
        "problems": [{"seq": one.seq, "problem": one.problem} for one in report.findings],
        "integrity": _verdict(report.integrity),
        "signatures": {**_verdict(report.signatures), "key": verified.key.text() if verified.key else None},
        "completeness": _verdict(report.completeness),
        "open": {**_verdict(report.open_and_recovered), **_numbers(report.open)},
        "recovered": {**_verdict(report.open_and_recovered), **_numbers(report.recovered)},
        **_long_texts(report.texts),
    }


def log_text(verified: Verified) -> str:
    report, last = verified.report, verified.report.last_record
    problems = [one.problem if one.seq is None else f"record {one.seq}: {one.problem}" for one in report.findings]
    if report.finding_count > len(problems):
        problems.append(f"… and {report.finding_count - len(problems)} more problems")
    end = f"the last one is {last.seq}:{last.hash}" if last else "none can be read"
    return "\n".join(
        [
            *problems,
            f"integrity     {_integrity_text(report)}",
            f"signatures    {_signatures_text(verified)}",
            f"completeness  {_completeness_text(report)}",
            f"open          {_numbers_text(report.open, 'question(s) without an end, as a crash or a full disk leaves them')}",
            f"recovered     {_numbers_text(report.recovered, 'torn end(s) set aside after a crash')}",
            *_long_texts_text(report.texts),
            f"{'OK' if report.ok else 'BROKEN'}: {report.entries} records, {end}",
        ]
    )


def receipt_document(proven: ProvenRecord) -> dict[str, Any]:
    checkpoint = proven.checkpoint
    signed = {"origin": checkpoint.origin, "size": checkpoint.size, "root": base64.b64encode(checkpoint.root).decode()}
    return {"ok": True, "seq": proven.seq, "record": read(proven.line), "checkpoint": signed, "problem": None}


def receipt_text(proven: ProvenRecord) -> str:
    signed = f"a signed checkpoint of {proven.checkpoint.origin} over {proven.checkpoint.size} records"
    return f"{one_line(read(proven.line))}\nOK: this is record {proven.seq}, under {signed}"


def no_receipt_document(problem: str) -> dict[str, Any]:
    """For a receipt that proves nothing."""
    return {"ok": False, "seq": None, "record": None, "checkpoint": None, "problem": problem}


# --- parts of the JSON document ------------------------------------------------------------------


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {"verdict": verdict.verdict, "up_to": verdict.up_to}


def _numbers(numbers: list[int]) -> dict[str, Any]:
    return {"count": len(numbers), "records": numbers[:MAX_NUMBERS]}


def _long_texts(found: TextsReport | None) -> dict[str, Any]:
    """No member if no long texts were ever kept."""
    if found is None:
        return {}
    counts = {"kept": found.kept, "missing": found.missing, "unreadable": found.unreadable, "damaged": len(found.damaged)}
    return {"long_texts": counts}


# --- parts of the text ---------------------------------------------------------------------------


def _integrity_text(report: Report) -> str:
    up_to = report.integrity.up_to
    if report.integrity.verdict == "ok":
        return f"ok: all bytes and links are right up to record {up_to}"
    return "failed: not even the first record is right" if up_to is None else f"failed: right up to record {up_to}"


def _signatures_text(verified: Verified) -> str:
    report, up_to = verified.report, verified.report.signatures.up_to
    if report.signatures.verdict == "not_checked":
        return "not checked: there is no signed checkpoint" if verified.key else "not checked: there is no key"
    if report.signatures.verdict == "failed":
        return "failed" + ("" if up_to is None else f": a signed checkpoint holds up to record {up_to}")
    if up_to is None:
        return "ok, but it shows nothing: the signed checkpoint covers no record"
    newer = report.entries - 1 - up_to
    return f"ok: signed and unchanged up to record {up_to}" + (f"; {newer} newer not signed yet" if newer > 0 else "")


def _completeness_text(report: Report) -> str:
    up_to = report.completeness.up_to
    if report.completeness.verdict == "not_checked":
        return "not checked: no receipt (--receipt) or signed checkpoint (--checkpoint) was given"
    if report.completeness.verdict == "failed":
        return "failed: what was given does not hold" + ("" if up_to is None else f" past record {up_to}")
    return "ok" if up_to is None else f"ok: nothing is missing or rewritten up to record {up_to}"


def _numbers_text(numbers: list[int], what: str) -> str:
    if not numbers:
        return "none"
    listed = ", ".join(map(str, numbers[:MAX_NUMBERS_IN_TEXT]))
    return f"{len(numbers)} {what}: record {listed}" + (", …" if len(numbers) > MAX_NUMBERS_IN_TEXT else "")


def _long_texts_text(found: TextsReport | None) -> list[str]:
    """No line if no long texts were ever kept."""
    if found is None:
        return []
    unreadable = f", {found.unreadable} unreadable" if found.unreadable else ""
    return [f"long texts    {found.kept} kept, {found.missing} missing, {len(found.damaged)} damaged{unreadable}"]
