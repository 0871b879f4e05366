"""`init` says what it made and what comes next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.admin import setup
from app.audit.format.record import Receipt

from ...support.commands import Run


def test_init_prints_what_was_made(run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made = setup.SetupResult(audit_log=Path("log"), log_key=Path("key"), first_record=Receipt(0, "ab" * 32))
    monkeypatch.setattr(setup, "set_up", lambda *, new_log: made if new_log else setup.SetupResult())
    assert run("init", "--new-log", "--json") == 0
    paths = {"env_file": None, "database": None, "audit_log": "log", "log_key": "key", "secret_filled_into": None}
    assert json.loads(capsys.readouterr().out) == {**paths, "receipt": f"0:{'ab' * 32}"}
    assert run("init", "--new-log") == 0
    add, serve = "  python -m app clients add alice --key\n", "  python -m app serve\n"
    assert capsys.readouterr().out == f"made audit log: log\nmade log key: key\nnext:\n{add}{serve}"
    monkeypatch.setattr(setup, "set_up", lambda *, new_log: setup.SetupResult(has_clients=True))
    assert run("init") == 0
    assert capsys.readouterr().out == f"nothing was missing\nnext:\n{serve}"
