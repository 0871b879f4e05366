"""`policy check`: exit statuses, tables, one JSON document, changes, prices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ...support.clean_settings import use_defaults
from ...support.commands import Run
from ...support.policies import LAB, SMALL


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_defaults(monkeypatch, tmp_path)
    monkeypatch.setenv("LLM_MODEL", "small")
    Path("good.toml").write_text(LAB + SMALL)
    Path("more.toml").write_text(LAB + SMALL + "[models.large]\nserver = 'lab'\nroles = ['a.b']\n")
    Path("bad.toml").write_text(LAB + SMALL + "rolls = 1\n")


def test_a_good_file_is_shown_as_tables(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("policy", "check", "more.toml") == 0
    shown = capsys.readouterr().out
    models, who, last = shown.split("\n\n")
    assert models.splitlines()[1].split()[:4] == ["small", "everyone", "all", "lab"]
    assert [line.split("  ")[0] for line in who.splitlines()] == ["who", "everyone", "with a.b"]
    assert last.startswith("more.toml can be used: SHA-256 ")


def test_a_bad_file_is_told_in_sentences(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("policy", "check", "bad.toml") == 1
    sentence = "Policy file bad.toml: [models.small] rolls is unknown: policy.example.toml shows all keys."
    assert capsys.readouterr().out == sentence + "\n"
    assert run("policy", "check", "bad.toml", "--json") == 1
    assert json.loads(capsys.readouterr().out) == {"file": "bad.toml", "ok": False, "problems": [sentence]}
    assert run("policy", "check", "good.toml", "--diff", "bad.toml") == 1


def test_one_document_has_it_all(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("policy", "check", "more.toml", "--diff", "good.toml", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["notes"]) == (True, [])
    assert [row["model"] for row in document["models"]] == ["small", "large"]
    assert {"who": "a.b", "what": "may use large", "before": None, "after": "yes"} in document["changes"]


def test_changes_are_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("policy", "check", "more.toml", "--diff", "good.toml") == 0
    assert "- a.b may now use large.\n" in capsys.readouterr().out
    assert run("policy", "check", "good.toml", "--diff", "good.toml") == 0
    assert "\nNo changes.\n" in capsys.readouterr().out


def test_prices_alone_are_printed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("genai_prices", reason="the extra `prices` is not installed")
    assert run("policy", "check", "good.toml", "--prices") == 0
    assert capsys.readouterr().out == "# No price is known for small.\n"
