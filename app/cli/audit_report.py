"""The report of `audit verify`, as text and as JSON."""

from __future__ import annotations

import base64
from dataclasses import asdict
from typing import Any

from ..admin.verify_log import Verified
from ..audit.format.receipt import ProvenRecord
from ..audit.verification.kept_texts import TextsFound
from ..audit.verification.report import Report, Verdict

MAX_NUMBERS = 100


def _receipt_document(proven: ProvenRecord) -> dict[str, Any]:
    from ..admin.show_log import read

    checkpoint = proven.checkpoint
    head = {"origin": checkpoint.origin, "size": checkpoint.size, "root": base64.b64encode(checkpoint.root).decode()}
    return {"ok": True, "seq": proven.seq, "record": read(proven.line), "checkpoint": head, "problem": None}


def _document(verified: Verified) -> dict[str, Any]:
    report = verified.report
    return {
        "ok": report.ok,
        "entries": report.entries,
        "head": {"seq": report.head.seq, "hash": report.head.hash} if report.head else None,
        "problems": [{"seq": one.seq, "problem": one.problem} for one in report.problems],
        "integrity": _finding(report.integrity),
        "signatures": {**_finding(report.signatures), "key": verified.key.text() if verified.key else None},
        "completeness": _finding(report.completeness),
        "open": {**_finding(report.ends), "count": len(report.open), "records": report.open[:MAX_NUMBERS]},
        "recovered": {**_finding(report.ends), "count": len(report.recovered), "records": report.recovered[:MAX_NUMBERS]},
        **_long_texts(verified.texts),
    }


def _finding(finding: Verdict) -> dict[str, Any]:
    return {"verdict": finding.verdict, "up_to": finding.up_to}


def _text(verified: Verified) -> str:
    report = verified.report
    problems = [f"{'' if one.seq is None else f'record {one.seq}: '}{one.problem}" for one in report.problems]
    if report.found > len(problems):
        problems.append(f"… and {report.found - len(problems)} more problems")
    head = f"head {report.head.seq}:{report.head.hash}" if report.head else "no record"
    return "\n".join(
        [
            *problems,
            f"integrity     {_integrity(report)}",
            f"signatures    {_signatures(verified)}",
            f"completeness  {_completeness(report)}",
            f"open          {_numbers(report.open, 'question(s) without an end, as a crash or a full disk leaves them')}",
            f"recovered     {_numbers(report.recovered, 'torn end(s) set aside after a crash')}",
            *_texts(verified.texts),
            f"{'OK' if report.ok else 'BROKEN'}: {report.entries} records, {head}",
        ]
    )


def _integrity(report: Report) -> str:
    up_to = report.integrity.up_to
    if report.integrity.verdict == "failed":
        return "failed: not even the first record is right" if up_to is None else f"failed: right up to record {up_to}"
    return f"ok: all bytes and links are right up to record {up_to}"


def _signatures(verified: Verified) -> str:
    report, up_to = verified.report, verified.report.signatures.up_to
    if report.signatures.verdict == "not_checked":
        return "not checked: there is no signed head" if verified.key else "not checked: there is no key"
    if report.signatures.verdict == "failed":
        return "failed" + ("" if up_to is None else f": a signed head holds up to record {up_to}")
    if up_to is None:
        return "ok, and of no use: no signed head is one of this log"
    newer = report.entries - 1 - up_to
    return f"ok: what the key signed is there up to record {up_to}" + (f"; {newer} newer not signed yet" if newer > 0 else "")


def _completeness(report: Report) -> str:
    up_to = report.completeness.up_to
    if report.completeness.verdict == "not_checked":
        return "not checked: no receipt (--receipt) or signed head (--checkpoint) was given"
    if report.completeness.verdict == "failed":
        return "failed: what was given does not hold" + ("" if up_to is None else f" past record {up_to}")
    return "ok" if up_to is None else f"ok: nothing is missing or rewritten up to record {up_to}"


def _numbers(numbers: list[int], what: str) -> str:
    if not numbers:
        return "none"
    return f"{len(numbers)} {what}: record " + ", ".join(map(str, numbers[:10])) + (", …" if len(numbers) > 10 else "")


def _long_texts(found: TextsFound | None) -> dict[str, Any]:
    """No member where no texts were ever kept."""
    return {} if found is None else {"long_texts": {**asdict(found), "damaged": len(found.damaged)}}


def _texts(found: TextsFound | None) -> list[str]:
    """No line where no texts were ever kept."""
    if found is None:
        return []
    unreadable = f", {found.unreadable} that cannot be read" if found.unreadable else ""
    return [f"long texts    {found.kept} kept, {found.missing} missing, {len(found.damaged)} damaged{unreadable}"]
