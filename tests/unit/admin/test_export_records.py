"""Records for other programs: which are written, whole files or none, and the signed checkpoint that covers them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app.admin.export_records import Wanted, export_records
from app.audit.format.note import verify_checkpoint
from app.errors import InvalidRequest

from ...support.evidence import SIGNER, STAMP, Evidence, KeptLog

LOG = Evidence(24)
AT = datetime.fromisoformat(STAMP)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "s" * 43)
    monkeypatch.setenv("AUDIT_LOG_PATH", "log")
    (tmp_path / "log").write_bytes(LOG.data)
    return tmp_path


def test_lines_are_the_stored_ones_byte_for_byte(folder: Path) -> None:
    assert export_records("jsonl", folder / "to", Wanted()) == 24
    assert (folder / "to").read_bytes() == LOG.data
    assert (folder / "to").stat().st_mode & 0o077 == 0


def test_without_texts_no_text_is_in_any_form(folder: Path) -> None:
    for form in ("jsonl", "csv", "ocsf"):
        export_records(form, folder / form, Wanted(has_texts=False))
        assert b'"query":"7"' not in (folder / form).read_bytes()
        assert b'""query"":""7""' not in (folder / form).read_bytes()
    first = json.loads((folder / "jsonl").read_text().splitlines()[7])
    assert first["details"]["query"].keys() == {"sha256", "bytes"}
    assert first["hash"] == LOG.receipts[7].hash


def test_a_time_bounds_them(folder: Path) -> None:
    later = AT + timedelta(seconds=1)
    assert export_records("csv", folder / "a", Wanted(since=AT, until=later)) == 24
    assert export_records("csv", folder / "b", Wanted(since=later)) == 0
    assert (folder / "b").read_text().startswith("seq,timestamp,")


def test_a_file_that_is_there_is_not_overwritten(folder: Path) -> None:
    (folder / "to").write_text("mine")
    for form in ("jsonl", "csv", "parquet", "ocsf"):
        with pytest.raises(InvalidRequest, match="is there already"):
            export_records(form, folder / "to", Wanted())
    assert (folder / "to").read_text() == "mine"
    assert [path.name for path in folder.iterdir() if path.suffix == ".part"] == []


def test_events_carry_the_log_and_what_our_key_signed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptLog(folder / "kept")
    monkeypatch.setenv("AUDIT_LOG_PATH", str(kept.path))
    kept.add_signed(3)
    kept.add(2)
    kept.store.close()
    assert export_records("ocsf", folder / "to", Wanted()) == 6
    events = [json.loads(line) for line in (folder / "to").read_text().splitlines()]
    integrity = [event["unmapped"]["record_integrity"] for event in events]
    assert {one["chain_uid"] for one in integrity} == {SIGNER.name}
    assert ["signatures" in one for one in integrity] == [True] * 4 + [False] * 2
    (signature,) = integrity[0]["signatures"]
    assert verify_checkpoint(signature["checkpoint"].encode(), SIGNER.verifier_key).size == 4


def test_parquet_needs_a_file() -> None:
    with pytest.raises(InvalidRequest, match="name a file"):
        export_records("parquet", None, Wanted())


def test_only_what_is_durable_is_exported(folder: Path) -> None:
    (folder / "log").write_bytes(LOG.data + b'{"v":1,"seq":24')
    assert export_records("jsonl", folder / "to", Wanted()) == 24
