"""The log of an installation on disk: its key, the checkpoint beside it, its long texts."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.admin.verify_log import parse_receipt, verify, verify_receipt_file
from app.audit.evidence.log_key import store_signer
from app.audit.evidence.signer import CheckpointSigner
from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.chain import link
from app.audit.format.note import Signer
from app.audit.format.record import EMPTY, draft
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.long_texts import LongTexts
from app.audit.storage.running import marked_running
from app.audit.verification.kept_texts import DamagedText, TextsReport
from app.audit.verification.report import Report, Verdict
from app.errors import ConfigError, InvalidRequest, VerificationFailed

from ...support.evidence import SIGNER, STAMP, Evidence, receipt_text, rehashed
from ...support.stores import open_store

LOG = Evidence(24, (9,))
KEY = SIGNER.verifier_key
THIEF = Signer(SIGNER.name, Ed25519PrivateKey.from_private_bytes(b"t" * 32))


def numbers(found: Report) -> list[int | None]:
    return [one.seq for one in found.findings]


class Site:
    """A folder as `init` and the signing loop leave it, with a log of our own making."""

    def __init__(self, folder: Path, length: int = 24) -> None:
        self.log = folder / "logs" / "audit_log.jsonl"
        self.tree = StoredTree.beside(self.log)
        self.key = folder / "logs" / "audit_log.key"
        self.log.parent.mkdir()
        store_signer(self.key, SIGNER)
        self.receipts = Evidence(length).receipts
        self.log.write_bytes(Evidence(length).data)
        self.sign()

    def sign(self) -> None:
        store = open_store(self.log)
        try:
            AuditLog(store).recover()
            assert CheckpointSigner(store, self.tree, SIGNER).publish_next()
        finally:
            store.close()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "s" * 43)
    return Site(tmp_path)


def test_the_own_checkpoint_is_checked_under_the_log_key_or_a_given_one(site: Site, tmp_path: Path) -> None:
    assert verify().report.signatures == Verdict("ok", 23)
    site.key.chmod(0)
    site.key.unlink()
    assert verify().report.signatures == Verdict("ok", 23)  # under the key beside the log
    given = tmp_path / "given"
    given.write_text(KEY.text() + "\n")
    assert verify(vkey=given).report.signatures == Verdict("ok", 23)
    given.write_text(THIEF.verifier_key.text() + "\n")
    found = verify(vkey=given).report
    assert (found.ok, found.signatures.verdict) == (False, "failed")


def test_a_log_without_a_tree_or_without_a_key_still_verifies(site: Site, tmp_path: Path) -> None:
    for path in site.tree.folder.iterdir():
        path.unlink()
    site.tree.folder.rmdir()
    assert (verify().report.ok, verify().report.signatures.verdict) == (True, "not_checked")
    site.key.unlink()
    assert (verify().report.ok, verify().key) == (True, None)


def test_a_changed_long_text_is_found_and_a_missing_one_is_counted(site: Site) -> None:
    text = b"long " * 20_000
    name = hashlib.sha256(text).hexdigest()
    store = open_store(site.log)
    append(store.append, [draft("ask.received", "alice", {"query": text.decode()})])
    store.close()
    site.sign()
    texts = LongTexts.beside(site.log)
    assert (verify().report.ok, verify().report.texts) == (True, None)  # nothing was ever kept
    texts.folder.mkdir()
    assert (verify().report.ok, verify().report.texts) == (True, TextsReport(missing=1))
    texts.keep({name: text})
    texts.path_of(name).write_bytes(text[:-1] + b"!")
    found = verify()
    assert (found.report.ok, numbers(found.report)) == (False, [24])
    assert found.report.texts == TextsReport(damaged=(DamagedText(24, name),))
    assert name in found.report.findings[0].problem
    assert found.report.integrity == found.report.signatures == Verdict("ok", 24)
    texts.keep({name: text})
    assert (verify().report.ok, verify().report.texts) == (True, TextsReport(kept=1))


def test_another_key_than_that_of_the_first_record_fails_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "s" * 43)
    site = Site(tmp_path)
    site.log.write_bytes(link([draft("log.opened", None, {"vkey": THIEF.verifier_key.text()})], EMPTY, STAMP)[0])
    for path in site.tree.folder.iterdir():
        path.unlink()
    found = verify().report
    assert (found.ok, found.signatures.verdict) == (False, "failed")
    assert "another key" in found.findings[0].problem


def test_the_stored_hashes_name_the_first_rewritten_record(site: Site) -> None:
    forged = rehashed(LOG.lines, lambda line: line.replace(b'"query":"4"', b'"query":"5"'), 4)
    site.log.write_bytes(forged)
    assert numbers(verify().report) == [4]
    (site.tree.folder / "hashes.0").unlink()
    assert numbers(verify().report) == [23]


# --- what is given -------------------------------------------------------------------------------


def test_given_receipts_and_checkpoints_are_checked(site: Site, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(LOG.checkpoint(9))
    assert verify([receipt_text(LOG.receipts[3])], [kept]).report.completeness == Verdict("ok", 8)
    kept.write_bytes(Evidence(24, (9,), text="other ").checkpoint(9))
    found = verify(checkpoints=[kept]).report
    assert (numbers(found), found.completeness) == ([8], Verdict("failed", None))
    kept.write_bytes(b"nonsense")
    found = verify(checkpoints=[kept]).report
    assert (numbers(found), found.signatures) == ([None], Verdict("failed", 23))
    assert found.findings[0].problem.startswith(f"{kept} proves nothing: ")


def test_progress_is_shown_up_to_the_whole_length(site: Site) -> None:
    shown: list[tuple[int, int]] = []
    verify(progress=lambda read, total: shown.append((read, total)))
    assert shown[-1] == (len(LOG.data), len(LOG.data))


def test_nothing_is_written_beside_the_log(site: Site) -> None:
    """In fault-free conditions the lock file is there already."""
    before = {path: path.read_bytes() for path in site.log.parent.rglob("*") if path.is_file()}
    verify()
    assert {path: path.read_bytes() for path in site.log.parent.rglob("*") if path.is_file()} == before


def test_a_file_that_holds_no_key_is_refused(site: Site, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("nonsense")
    with pytest.raises(InvalidRequest, match="GET /audit/vkey"):
        verify(vkey=wrong)
    with pytest.raises(OSError, match="No such file"):
        verify(vkey=tmp_path / "nowhere")
    site.key.write_text("nonsense")
    with pytest.raises(ConfigError, match="AUDIT_KEY_PATH"):
        verify()


@pytest.mark.parametrize("text", ["", "3", "3:xyz", "-1:" + "0" * 64, "3:" + "0" * 63, "3:" + "A" * 64, "3:" + "0" * 64 + "\n"])
def test_a_receipt_is_a_number_and_a_hash(text: str) -> None:
    with pytest.raises(InvalidRequest, match="SEQ:HASH"):
        parse_receipt(text)
    assert parse_receipt(receipt_text(LOG.receipts[3])) == LOG.receipts[3]


def test_a_receipt_file_is_verified_without_settings(tmp_path: Path) -> None:
    file, key = tmp_path / "receipt", tmp_path / "vkey"
    file.write_bytes(LOG.receipt_file(5, 24))
    key.write_text(KEY.text() + "\n")
    proven = verify_receipt_file(file, key)
    assert (proven.seq, proven.line, proven.checkpoint.size) == (5, LOG.lines[5], 24)
    key.write_text(THIEF.verifier_key.text())
    with pytest.raises(VerificationFailed):
        verify_receipt_file(file, key)


def test_a_running_service_is_given_a_moment_to_set_a_torn_tail_aside(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = site.log.read_bytes()
    site.log.write_bytes(whole + b'{"v":1,')
    assert numbers(verify().report) == [24], "nobody writes, so nobody will set it aside"
    with marked_running(site.log):
        aside = threading.Timer(0.2, site.log.write_bytes, [whole])
        aside.start()
        assert verify().report.ok
        aside.join()
        site.log.write_bytes(whole + b'{"v":1,')
        monkeypatch.setattr("app.admin.verify_log.TORN_SECONDS", 0.1)
        assert numbers(verify().report) == [24]
