"""The exported log has the bytes, the tree and the signed checkpoint of the log."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

from app.admin.export_log import export_log
from app.admin.verify_log import verify
from app.audit.format.record import draft
from app.audit.storage.append import append
from app.audit.storage.long_texts import LongTexts
from app.errors import InvalidRequest

from ...support.installation import KEY, LOG, install
from ...support.stores import open_store

COPY = Path("copy/exported.jsonl")


@pytest.fixture(autouse=True)
def _installed() -> None:
    install()
    store = open_store(LOG)
    append(store.append, [draft("log.alive", None, {"silent_seconds": n}) for n in range(300)])
    COPY.parent.mkdir()


def test_the_copy_is_the_log_and_stands_alone() -> None:
    done = export_log(COPY)
    assert (COPY.read_bytes(), done.size, done.signed, done.problem) == (LOG.read_bytes(), LOG.stat().st_size, 1, None)
    for path in ("checkpoint", "vkey", "hashes.0", "ends"):
        assert (COPY.with_suffix(".tree") / path).exists()
    KEY.unlink()
    verified = verify(log_file=COPY)
    assert (verified.report.ok, verified.report.entries, verified.report.signatures.verdict) == (True, 301, "ok")
    assert sorted(path.name for path in COPY.parent.iterdir()) == ["exported.jsonl", "exported.tree"]


def test_nothing_is_overwritten_but_what_a_killed_export_left() -> None:
    COPY.with_name("exported.jsonl.part").write_text("the beginning")
    export_log(COPY)
    with pytest.raises(InvalidRequest, match="already"):
        export_log(COPY)
    COPY.unlink()
    with pytest.raises(InvalidRequest, match="already"):
        export_log(COPY)


def test_a_log_that_is_not_what_was_signed_is_exported_as_evidence() -> None:
    changed = LOG.read_bytes().replace(b'"log.opened"', b'"log.opend"', 1)
    LOG.write_bytes(changed)
    done = export_log(COPY)
    assert (COPY.read_bytes(), done.signed) == (changed, 1)
    assert done.problem is not None
    assert not verify(log_file=COPY).report.ok


def test_without_a_signed_checkpoint_only_the_records_are_there() -> None:
    for path in LOG.with_suffix(".tree").iterdir():
        path.unlink()
    assert export_log(COPY).signed is None
    assert not COPY.with_suffix(".tree").exists()


def test_long_texts_go_along_and_a_changed_one_is_evidence() -> None:
    texts = [letter * 70_000 for letter in (b"a", b"b", b"c")]
    sound, changed, of_no_record = names = [sha256(text).hexdigest() for text in texts]
    store, kept = open_store(LOG), LongTexts.beside(LOG)
    append(store.append, [draft("ask.received", "alice", {"query": {"sha256": name, "bytes": 70_000}}) for name in names[:2]])
    kept.keep(dict(zip(names, texts, strict=True)))
    assert (done := export_log(COPY)).problem is None
    copied = LongTexts.beside(COPY)
    assert (done.texts, copied.read(sound), copied.read(changed), copied.read(of_no_record)) == (2, texts[0], texts[1], None)
    kept.path_of(changed).write_bytes(b"another")
    done = export_log(COPY.with_name("evidence.jsonl"))
    assert (done.texts, LongTexts.beside(done.log).read(changed)) == (2, b"another")
    assert changed in str(done.problem)
