"""A report is ok if it has no findings, listed or not."""

from __future__ import annotations

from dataclasses import replace

from app.audit.verification.report import Report, Verdict

OK = Verdict("ok", 23)
SOUND = Report(24, None, [], 0, OK, OK, OK, OK, [1], [2], None)


def test_only_findings_make_a_log_not_ok() -> None:
    assert SOUND.ok
    assert replace(SOUND, signatures=Verdict("not_checked", None)).ok
    assert not replace(SOUND, finding_count=1).ok
