"""What `audit pack` and `audit verify-pack` print: a JSON document or text."""

from __future__ import annotations

from typing import Any

from ..admin.evidence_pack.pack import Packed
from ..admin.evidence_pack.verify_pack import VerifiedPack


def packed_document(done: Packed) -> dict[str, Any]:
    about = done.about
    return {
        "pack": str(done.pack),
        "ok": done.verdict.ok,
        "origin": about.origin,
        "first": about.first,
        "last": about.last,
        "content": not about.withheld,
    }


def packed_text(done: Packed) -> str:
    about = done.about
    what = "digests of records" if about.withheld else "records"
    sound = "" if done.verdict.ok else "\nThe log is NOT sound: the pack is evidence of that. See its verdict.json."
    how = f"Whoever gets it needs the verifier key from elsewhere: audit verify-pack {done.pack} --vkey KEPT.vkey"
    return f"{done.pack}: {what} {about.first:,} to {about.last:,} of {about.origin}\n{how}{sound}"


def pack_document(verified: VerifiedPack) -> dict[str, Any]:
    report = verified.report
    last = report.last_record
    problems = [{"seq": one.seq, "problem": one.problem} for one in report.findings]
    problems += [{"seq": None, "problem": f"{name} has another content than its name says"} for name in verified.changed_texts]
    return {
        "ok": verified.ok,
        "first": report.first,
        "entries": report.entries,
        "withheld": report.withheld,
        "head": {"seq": last.seq, "hash": last.hash} if last else None,
        "problems": problems,
        "signatures": "ok" if report.signed else "not_checked",
        "long_texts": verified.texts,
    }


def pack_text(verified: VerifiedPack) -> str:
    report, checkpoint = verified.report, verified.report.checkpoint
    if not verified.ok:
        problems = [f"record {one.seq}: {one.problem}" for one in report.findings]
        problems += [f"{name} has another content than its name says" for name in verified.changed_texts]
        return "\n".join([*problems, "BROKEN: the pack is not what was signed"])
    what = f"records {report.first} to {report.first + report.entries - 1}"
    lines = [f"{what} are those of the checkpoint of {checkpoint.origin} over {checkpoint.size} records"]
    if report.withheld:
        lines.append(f"{report.withheld} of them are withheld: that they are there is shown, not what they say")
    if not report.signed:
        return "\n".join([*lines, "CONSISTENT: without --vkey nobody knows who made it"])
    return "\n".join([*lines, f"OK: signed by {checkpoint.origin}"])
