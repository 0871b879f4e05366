"""The report of a pack: nothing in it runs, and it says what was found and what a pack is worth."""

from __future__ import annotations

import re

from app.admin.evidence_pack.report import Counted, report
from app.admin.evidence_pack.words import PROVES_NOTHING_ALONE, About
from app.audit.verification.report import Finding, Report, Verdict

OK = Verdict("ok", 7)
NAMES = ("log.jsonl", "slice", "checkpoint", "log.vkey", "verdict.json", "report.html")
ABOUT = About("example.com/<log>", 4, 7, 8, withheld=False, names=NAMES)
COUNTED = Counted({"ask.received": 3, "<script>": 1}, {"alice": 4}, "2036-11-01T10:00:00.000000Z", "2036-11-02T10:00:00.000000Z")


def verdict(*problems: str) -> Report:
    findings = [Finding(3, one) for one in problems]
    return Report(8, None, findings, len(findings), OK, OK, OK, OK, [], [], None)


def page(about: About = ABOUT, found: Report | None = None, counted: Counted = COUNTED) -> str:
    return report(about, found or verdict(), counted, b"\1" * 32, "example.com/log+01234567+AQ==", "secure-ai-assistant 1")


def test_no_text_becomes_markup_and_nothing_may_run() -> None:
    html = page(found=verdict("<img src=x onerror=alert(1)>"))
    assert "<img" not in html
    assert "<script" not in html
    assert "example.com/<log>" not in html
    assert re.findall("content=\"(default-src 'none'; style-src 'sha256-[A-Za-z0-9+/=]{44}')\"", html)
    assert not re.findall(r"\s(?:src|href|style|on\w+)=", page())


def test_it_says_what_was_found_and_what_a_pack_is_worth() -> None:
    for html, words in ((page(), "Nothing wrong was found"), (page(found=verdict("it was changed")), "not sound")):
        assert words in html
        assert PROVES_NOTHING_ALONE.replace("'", "&#x27;") in html
        assert "2036-11-01 10:00:00 UTC to 2036-11-02 10:00:00 UTC" in html


def test_of_withheld_records_it_counts_nothing() -> None:
    html = page(About("log", 4, 7, 8, withheld=True, names=NAMES), counted=Counted({}, {}, None, None))
    assert "Records by" not in html
    assert "withheld: digests only" in html
    assert "What the records say, who asked, and when" in html
