"""The log of one machine becomes the beginning of a ledger: the same lines, key and head; nothing writes the file again."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from app.admin import import_log as importing
from app.admin.export_log import export_log
from app.admin.import_log import import_log
from app.admin.setup import set_up
from app.admin.show_log import last_records
from app.admin.verify_log import verify
from app.audit.format.record import draft
from app.audit.storage.append import append
from app.audit.storage.long_texts import LongTexts
from app.audit.storage.running import marked_running
from app.errors import AuditCorrupt, ConfigError
from app.settings import load_settings
from app.wiring.audit import open_audit, open_checkpoint_signer, open_store, signed_note

from ...support.installation import LOG, install
from ...support.own_ledger import new_place
from ...support.postgres_server import PostgresServer
from ...support.stores import open_store as open_file

TREE = LOG.with_suffix(".tree")
FILE = LOG.with_name("audit_log.imported.jsonl")


@pytest.fixture
def before(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The bytes of a log with 301 records, most of them not signed yet; AUDIT_URL names an empty ledger."""
    install()
    store = open_file(LOG)
    append(store.append, [draft("log.alive", None, {"silent_seconds": n}) for n in range(300)])
    store.close()
    place = new_place(postgres)
    monkeypatch.setenv("SECRET_KEY", "s" * 43)
    monkeypatch.setenv("AUDIT_URL", place.url)
    monkeypatch.setenv("AUDIT_ADMIN_URL", str(place.admin_url))
    monkeypatch.setenv("AUDIT_SINGLE_PRIMARY", "yes")
    return LOG.read_bytes()


def ledger() -> bytes:
    store = open_store(load_settings())
    try:
        return b"".join(store.chunks(store.size()))
    finally:
        store.close()


def test_the_ledger_begins_with_the_bytes_of_the_file_and_its_head(before: bytes) -> None:
    note = (TREE / "checkpoint").read_bytes()
    done = import_log()
    assert (done.records, done.size, done.receipt and done.receipt.seq) == (301, len(before), 301)
    assert ledger().startswith(before)
    assert signed_note(load_settings()) == note
    [record] = last_records(1)
    assert (record["action"], record["details"]["records"], record["details"]["file"]) == ("log.imported", 301, FILE.name)
    signer = open_checkpoint_signer(load_settings(), is_notary=True)
    signed = signer.publish_next()
    signer.close()
    assert signed is not None
    assert signed.size == 302
    report = verify().report
    assert (report.ok, report.entries) == (True, 302)


def test_nothing_writes_the_file_any_more(before: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    import_log()
    assert (LOG.exists(), FILE.read_bytes(), stat.S_IMODE(FILE.stat().st_mode)) == (False, before, 0o400)
    monkeypatch.delenv("AUDIT_URL")
    with pytest.raises(ConfigError, match="AUDIT_URL"):
        set_up()
    assert not LOG.exists()


@pytest.mark.parametrize("step", ["_verified", "_copy", "_share", "_record"])
def test_a_killed_import_goes_on_where_it_was(before: bytes, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def killed(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(importing, step, killed)
        with pytest.raises(KeyboardInterrupt):
            import_log()
    if step != "_record":
        with pytest.raises((ConfigError, AuditCorrupt)):
            set_up()
    assert import_log().receipt is not None
    assert import_log().receipt is None  # once more changes nothing
    assert len(ledger().splitlines()) == 302
    assert set_up().first_record is None


def test_only_an_empty_ledger_takes_a_log(before: bytes) -> None:
    audit = open_audit(load_settings())
    audit.create({"origin": "another/log"})
    audit.close()
    with pytest.raises(ConfigError, match="records that this log does not begin with"):
        import_log()


def test_a_log_in_use_or_one_that_was_changed_is_not_taken(before: bytes) -> None:
    with marked_running(LOG), pytest.raises(ConfigError, match="service is running"):
        import_log()
    assert LOG.exists()
    LOG.write_bytes(before.replace(b'"silent_seconds":7}', b'"silent_seconds":8}', 1))
    with pytest.raises(AuditCorrupt):
        import_log()
    assert ledger() == b""


def test_without_the_administrators_url_nothing_is_written(before: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUDIT_ADMIN_URL")
    with pytest.raises(ConfigError, match="AUDIT_ADMIN_URL"):
        import_log()
    assert LOG.exists()


def test_an_exported_ledger_is_imported_again_with_its_long_texts(
    before: bytes, place: Path, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = b"long " * 20_000
    name = hashlib.sha256(text).hexdigest()
    store = open_file(LOG)
    append(store.append, [draft("ask.received", "alice", {"query": {"sha256": name, "bytes": len(text)}})])
    store.close()
    LongTexts.beside(LOG).keep({name: text})
    import_log()
    first, second = place / "copy/audit_log.jsonl", place / "again/audit_log.jsonl"
    first.parent.mkdir()
    assert export_log(first).problem is None
    exported = first.read_bytes()
    assert exported.startswith(before)
    for log_file in (None, first):
        texts = verify(log_file=log_file).report.texts
        assert texts is not None
        assert (texts.kept, texts.missing) == (1, 0)
    other = new_place(postgres)
    monkeypatch.setenv("AUDIT_URL", other.url)
    monkeypatch.setenv("AUDIT_ADMIN_URL", str(other.admin_url))
    monkeypatch.setenv("AUDIT_LOG_PATH", str(first))
    imported = import_log()
    second.parent.mkdir()
    assert (export_log(second).texts, LongTexts.beside(second).read(name)) == (1, text)
    assert second.read_bytes()[: imported.size] == exported
    assert len(second.read_bytes()[imported.size :].splitlines()) == 1  # `log.imported`
