"""`audit export --format`: to stdout or a file, and what cannot be wanted together."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from app.cli.record_export import RecordFormat

from ...support.commands import Run
from ...support.evidence import Evidence

LOG = Evidence(24)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "s" * 43)
    monkeypatch.setenv("AUDIT_LOG_PATH", "log")
    (tmp_path / "log").write_bytes(LOG.data)
    return tmp_path


def test_text_goes_to_stdout_and_the_count_elsewhere(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "export", "--format", "csv") == 0
    said = capsys.readouterr()
    assert len(list(csv.DictReader(io.StringIO(said.out)))) == 24
    assert said.err == "24 records\n"


def test_a_file_is_told_as_one_document(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        run("audit", "export", "out.jsonl", "--format", "jsonl", "--since", "2026-11-23", "--until", "2026-11-24", "--json") == 0
    )
    assert json.loads(capsys.readouterr().out) == {"file": "out.jsonl", "format": "jsonl", "records": 24}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "csv", "--since", "yesterday"], "Invalid value for --since: a moment is a day"),
        (["--format", "parquet"], "Parquet is no text: name a file"),
        (["--since", "7d"], "A copy is whole"),
        ([], "A copy is whole"),
        (["x", "--no-content"], "A copy is whole"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    words: list[str], said: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("audit", "export", *words) == 2
    assert said in capsys.readouterr().err


def test_every_form_has_its_word() -> None:
    assert {form.value for form in RecordFormat} == {"ocsf", "jsonl", "csv", "parquet"}
