"""`doctor`: a line for each thing, and exit status 1 on any trouble."""

from __future__ import annotations

import json

import pytest

from app.admin.doctor_findings import Finding, note, ok, trouble
from app.cli import doctor

from ...support.commands import Run


@pytest.mark.parametrize(("finding", "status"), [(ok("Well."), 0), (note("Look."), 0), (trouble("Mend it."), 1)])
def test_any_trouble_is_status_1(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, finding: Finding, status: int
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: iter([("settings", ok("Fine.")), ("log", finding)]))
    assert run("doctor") == status
    assert capsys.readouterr().out == f"ok       settings   Fine.\n{finding.state:<7}  log        {finding.says}\n"
    assert run("doctor", "--json") == status
    checks = [
        {"about": "settings", "state": "ok", "says": "Fine."},
        {"about": "log", "state": finding.state, "says": finding.says},
    ]
    assert json.loads(capsys.readouterr().out) == {"ok": status == 0, "checks": checks}
