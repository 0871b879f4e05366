"""The audit commands without a service: what they print, and their exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.audit import audit

from ...support.evidence import SIGNER, Evidence, receipt_text

LOG = Evidence(24)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "s" * 43)
    monkeypatch.setenv("AUDIT_LOG_PATH", "log")
    (tmp_path / "log").write_bytes(LOG.data)
    (tmp_path / "vkey").write_text(SIGNER.verifier_key.text())
    (tmp_path / "checkpoint").write_bytes(LOG.checkpoint(24))
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(audit, list(words))


def test_a_sound_log_exits_with_zero() -> None:
    done = run("verify", "--vkey", "vkey", "--checkpoint", "checkpoint", "--receipt", receipt_text(LOG.receipts[3]), "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["ok"], document["completeness"]) == (True, {"verdict": "ok", "up_to": 23})
    assert run("verify").stdout.splitlines()[-1].startswith("OK: 24 records")


def test_a_broken_log_exits_with_one() -> None:
    Path("log").write_bytes(LOG.data.replace(b'"query":"7"', b'"query":"8"'))
    done = run("verify")
    assert done.exit_code == 1
    assert done.stdout.startswith("record 7: the record was changed")


def test_a_receipt_is_checked_and_a_changed_one_proves_nothing() -> None:
    Path("receipt").write_bytes(LOG.receipt_file(5, 24))
    done = run("verify-receipt", "receipt", "--vkey", "vkey", "--json")
    assert (done.exit_code, json.loads(done.stdout)["seq"]) == (0, 5)
    Path("receipt").write_bytes(LOG.receipt_file(5, 24).replace(b"index 5", b"index 6"))
    done = run("verify-receipt", "receipt", "--vkey", "vkey")
    assert (done.exit_code, done.stdout.startswith("PROVES NOTHING: ")) == (1, True)


def test_records_are_shown_as_lines_or_as_one_document() -> None:
    assert [record["seq"] for record in json.loads(run("show", "--json").stdout)] == list(range(24))
    assert [record["seq"] for record in json.loads(run("tail", "-n", "2", "--json").stdout)] == [22, 23]
    assert [line.split()[0] for line in run("tail", "-n", "2").stdout.splitlines()] == ["seq", "22", "23"]
    one = json.loads(LOG.lines[7])
    assert json.loads(run("show", "--request-id", one["request_id"], "--json").stdout) == [one]


def test_a_request_without_a_record_is_said_and_no_table_is_printed() -> None:
    done = run("show", "--request-id", "nothing")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "No record has the request id nothing.\n")
    assert run("show", "--request-id", "nothing", "--json").stdout == "[]\n"
