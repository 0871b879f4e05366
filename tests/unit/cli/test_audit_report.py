"""The report of a verification: the members of its JSON document, and its text."""

from __future__ import annotations

import json
from dataclasses import replace

from app.admin.verify_log import Verified
from app.audit.format.receipt import verify_receipt
from app.audit.format.record import Receipt
from app.audit.verification.kept_texts import DamagedText, TextsReport
from app.audit.verification.report import Finding, Report, Verdict
from app.cli.audit_report import MAX_NUMBERS, log_document, log_text, no_receipt_document, receipt_document, receipt_text

from ...support.evidence import SIGNER, Evidence

LOG = Evidence(24)
OK, NOT_CHECKED = Verdict("ok", 23), Verdict("not_checked", None)
SOUND = Report(24, Receipt(23, "a" * 64), [], 0, OK, OK, OK, OK, [], [], None)
KEY = SIGNER.verifier_key


def text_of(report: Report, *, has_key: bool = True) -> dict[str, str]:
    """The text by the first word of each line."""
    lines = log_text(Verified(report, KEY if has_key else None)).splitlines()
    return {line.split(" ")[0]: line.partition(" ")[2].strip() for line in lines}


def test_the_document_has_exactly_these_members() -> None:
    report = replace(SOUND, open=[3, 5], recovered=[7], texts=TextsReport(1, 2, 3, (DamagedText(4, "b" * 64),)))
    assert log_document(Verified(report, KEY)) == {
        "ok": True,
        "entries": 24,
        "head": {"seq": 23, "hash": "a" * 64},
        "problems": [],
        "integrity": {"verdict": "ok", "up_to": 23},
        "signatures": {"verdict": "ok", "up_to": 23, "key": KEY.text()},
        "completeness": {"verdict": "ok", "up_to": 23},
        "open": {"verdict": "ok", "up_to": 23, "count": 2, "records": [3, 5]},
        "recovered": {"verdict": "ok", "up_to": 23, "count": 1, "records": [7]},
        "long_texts": {"kept": 1, "missing": 2, "unreadable": 3, "damaged": 1},
    }


def test_the_document_of_a_broken_log_names_its_problems() -> None:
    findings = [Finding(4, "it was changed"), Finding(None, "one proves nothing")]
    report = replace(SOUND, last_record=None, findings=findings, finding_count=2, integrity=Verdict("failed", 3))
    document = log_document(Verified(report, None))
    assert (document["ok"], document["head"], document["signatures"]["key"]) == (False, None, None)
    assert document["problems"] == [{"seq": 4, "problem": "it was changed"}, {"seq": None, "problem": "one proves nothing"}]
    assert document["integrity"] == {"verdict": "failed", "up_to": 3}
    assert "long_texts" not in document


def test_long_lists_are_cut_in_both_forms() -> None:
    report = replace(SOUND, open=list(range(500)), findings=[Finding(1, "bad")], finding_count=300)
    document = log_document(Verified(report, KEY))
    assert (document["open"]["count"], len(document["open"]["records"])) == (500, MAX_NUMBERS)
    text = text_of(report)
    assert text["open"].endswith("record 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …")
    assert text["…"] == "and 299 more problems"


def test_the_text_says_each_verdict_on_its_own_line() -> None:
    assert text_of(SOUND) == {
        "integrity": "ok: all bytes and links are right up to record 23",
        "signatures": "ok: signed and unchanged up to record 23",
        "completeness": "ok: nothing is missing or rewritten up to record 23",
        "open": "none",
        "recovered": "none",
        "OK:": f"24 records, the last one is 23:{'a' * 64}",
    }


def test_the_text_says_what_failed() -> None:
    findings = [Finding(4, "it was changed"), Finding(None, "one proves nothing")]
    failed = Verdict("failed", 3)
    broken = replace(SOUND, findings=findings, finding_count=2, integrity=failed, signatures=failed, completeness=failed)
    lines = log_text(Verified(broken, KEY)).splitlines()
    assert lines[:2] == ["record 4: it was changed", "one proves nothing"]
    text = text_of(broken)
    assert text["integrity"] == "failed: right up to record 3"
    assert text["signatures"] == "failed: a signed checkpoint holds up to record 3"
    assert text["completeness"] == "failed: what was given does not hold past record 3"
    assert text["BROKEN:"].startswith("24 records")
    nothing = Verdict("failed", None)
    text = text_of(replace(broken, integrity=nothing, signatures=nothing, completeness=nothing, last_record=None))
    assert text["integrity"] == "failed: not even the first record is right"
    assert (text["signatures"], text["completeness"]) == ("failed", "failed: what was given does not hold")
    assert text["BROKEN:"] == "24 records, none can be read"


def test_the_text_says_what_was_not_checked() -> None:
    report = replace(SOUND, signatures=NOT_CHECKED, completeness=NOT_CHECKED)
    assert text_of(report)["signatures"] == "not checked: there is no signed checkpoint"
    assert text_of(report, has_key=False)["signatures"] == "not checked: there is no key"
    assert text_of(report)["completeness"].startswith("not checked: no receipt (--receipt)")


def test_the_text_says_how_many_records_are_not_signed_yet() -> None:
    assert text_of(replace(SOUND, signatures=Verdict("ok", 20)))["signatures"].endswith("up to record 20; 3 newer not signed yet")
    empty = replace(SOUND, signatures=Verdict("ok", None), completeness=Verdict("ok", None))
    assert text_of(empty)["signatures"] == "ok, but it shows nothing: the signed checkpoint covers no record"
    assert text_of(empty)["completeness"] == "ok"


def test_the_text_counts_long_texts_if_there_are_any() -> None:
    assert text_of(replace(SOUND, texts=TextsReport(1, 2)))["long"] == "texts    1 kept, 2 missing, 0 damaged"
    unreadable = replace(SOUND, texts=TextsReport(1, 2, 3))
    assert text_of(unreadable)["long"] == "texts    1 kept, 2 missing, 0 damaged, 3 unreadable"


def test_a_receipt_is_shown_with_its_record_and_checkpoint() -> None:
    proven = verify_receipt(LOG.receipt_file(5, 24), KEY)
    document = receipt_document(proven)
    assert list(document) == list(no_receipt_document("why")) == ["ok", "seq", "record", "checkpoint", "problem"]
    assert (document["ok"], document["seq"], document["record"], document["problem"]) == (True, 5, json.loads(LOG.lines[5]), None)
    assert list(document["checkpoint"]) == ["origin", "size", "root"]
    shown, verdict = receipt_text(proven).splitlines()
    assert "ask.received" in shown
    assert verdict == f"OK: this is record 5, under a signed checkpoint of {SIGNER.name} over 24 records"


def test_a_receipt_that_proves_nothing_says_why() -> None:
    assert no_receipt_document("why") == {"ok": False, "seq": None, "record": None, "checkpoint": None, "problem": "why"}
