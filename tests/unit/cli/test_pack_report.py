"""`audit pack` and `audit verify-pack`: what they print, and their exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli.audit import audit

from ...support.clean_settings import use_defaults
from ...support.installation import LOG, ORIGIN, install


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_defaults(monkeypatch, tmp_path)
    monkeypatch.setenv("AUDIT_ORIGIN", ORIGIN)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    install()
    Path("kept.vkey").write_bytes((LOG.with_suffix(".tree") / "vkey").read_bytes())


def run(*words: str) -> Result:
    return CliRunner().invoke(audit, list(words))


def test_a_pack_is_made_and_verified() -> None:
    done = run("pack", "--to", "e.zip", "--json")
    assert (done.exit_code, json.loads(done.stdout)["ok"]) == (0, True), done.output
    checked = run("verify-pack", "e.zip", "--vkey", "kept.vkey", "--json")
    assert (checked.exit_code, json.loads(checked.stdout)["signatures"]) == (0, "ok"), checked.output
    assert "OK: signed by" in run("verify-pack", "e.zip", "--vkey", "kept.vkey").stdout


def test_without_a_key_a_pack_is_only_consistent() -> None:
    run("pack", "--to", "e.zip", "--no-content")
    checked = run("verify-pack", "e.zip")
    assert checked.exit_code == 0
    assert "CONSISTENT" in checked.stdout
    assert "withheld" in checked.stdout
    assert "OK" not in checked.stdout


def test_a_log_that_is_not_sound_ends_with_one() -> None:
    LOG.write_bytes(LOG.read_bytes().replace(b"log.opened", b"log.open_d"))
    assert run("pack", "--to", "e.zip").exit_code == 1
    checked = run("verify-pack", "e.zip", "--vkey", "kept.vkey")
    assert (checked.exit_code, checked.stdout.splitlines()[-1]) == (1, "BROKEN: the pack is not what was signed")


def test_a_moment_that_is_none_is_refused_with_examples() -> None:
    done = run("pack", "--to", "e.zip", "--since", "soon")
    assert "Invalid value for --since: A moment is a day" in str(done.exception)


def test_a_pack_of_another_key_proves_nothing() -> None:
    run("pack", "--to", "e.zip")
    Path("other.vkey").write_text("example.com/x+8a1ee6b9+AQ==")
    assert "does not hold a log's verifier key" in str(run("verify-pack", "e.zip", "--vkey", "other.vkey").exception)
