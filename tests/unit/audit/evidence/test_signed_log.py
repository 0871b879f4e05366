"""A log that is not what was signed is refused, at the start or later, and nothing is signed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.note import Signer
from app.audit.format.record import parse_line
from app.errors import AuditCorrupt, EvidenceUnavailable

from ....support.evidence import OTHER_SIGNER, SIGNER, KeptLog, published_in, rehashed


@pytest.fixture
def kept(tmp_path: Path) -> KeptLog:
    return KeptLog(tmp_path / "log")


def edit(kept: KeptLog, old: bytes, new: bytes) -> None:
    data = kept.path.read_bytes()
    assert data.count(old) == 1
    kept.path.write_bytes(data.replace(old, new))


def cut_and_remark(kept: KeptLog) -> None:
    """Remove the last five records and the mark, so that the log looks whole."""
    lines = kept.lines()[:-5]
    kept.store.close()
    kept.path.write_bytes(b"".join(line + b"\n" for line in lines))
    kept.store.lock_path.write_bytes(b"")


def rewrite(kept: KeptLog, at: int) -> None:
    """A record and all hashes from there on; as long as it was."""
    changed = rehashed(kept.lines(), lambda line: line.replace(b'"alice"', b'"carol"'), at)
    assert len(changed) == len(kept.path.read_bytes())
    kept.path.write_bytes(changed)
    kept.store.lock_path.write_bytes(b"")


def check_refused(folder: Path, what: str, signer: Signer = SIGNER, *, at_start: bool = True, adding: int = 20) -> None:
    """At the start, and when there is more to sign."""
    before = published_in(folder)
    kept = KeptLog(folder, signer)
    attempts: list[Callable[[], Any]] = [kept.checkpoint_signer.verify_start] if at_start else []
    kept.log.recover()
    kept.add(adding)
    for attempt in (*attempts, kept.checkpoint_signer.publish_next, kept.checkpoint_signer.publish_next):
        with pytest.raises(AuditCorrupt, match=what) as refused:
            attempt()
        assert refused.value.detail.endswith(".")
    assert published_in(folder) == before


def test_a_log_cut_below_what_was_signed_is_refused(kept: KeptLog) -> None:
    kept.add_signed(30)
    cut_and_remark(kept)
    kept.log.recover()
    with pytest.raises(AuditCorrupt, match="has 26 records, but a checkpoint over 31 was signed"):
        KeptLog(kept.path.parent).checkpoint_signer.verify_start()
    kept.checkpoint_signer.publish_next()  # there is nothing to sign
    check_refused(kept.path.parent, "those that were signed|does not follow|what was signed", at_start=False)


@pytest.mark.parametrize("size", [256, 31])
def test_an_edited_last_record_is_refused_at_the_start_and_later(kept: KeptLog, size: int) -> None:
    kept.add_signed(size - 1)
    rewrite(kept, size - 1)
    check_refused(kept.path.parent, f"Record {size - 1} of the audit log is not what was signed")


def test_an_edited_last_record_is_refused_by_a_running_signer(kept: KeptLog) -> None:
    kept.add_signed(30)
    rewrite(kept, 30)
    kept.store.close()
    KeptLog(kept.path.parent).add(3)  # which chain to the edited one
    with pytest.raises(EvidenceUnavailable):
        kept.checkpoint_signer.publish_next()
    with pytest.raises(AuditCorrupt, match="Record 30 of the audit log is not what was signed"):
        kept.checkpoint_signer.publish_next()


def test_an_edited_middle_record_with_all_hashes_renewed_is_refused(kept: KeptLog) -> None:
    """Then the last record is different, too."""
    kept.add_signed(600)
    rewrite(kept, 300)
    check_refused(kept.path.parent, "Record 600 of the audit log is not what was signed")


def test_a_middle_record_edited_before_the_tree_is_rebuilt_is_refused(kept: KeptLog) -> None:
    kept.add_signed(600)
    edit(kept, b'"query":"300"', b'"query":"399"')
    (kept.tree.folder / "hashes.1").unlink()
    check_refused(kept.path.parent, "Record 301 of the audit log does not follow", at_start=False)


def test_a_log_rewritten_from_its_first_record_is_refused(kept: KeptLog) -> None:
    kept.add_signed(40)
    rewrite(kept, 1)
    (kept.tree.folder / "hashes.0").unlink()
    check_refused(kept.path.parent, "The first 41 records of the audit log are not those that were signed", at_start=False)


def test_new_records_that_do_not_chain_are_not_signed(kept: KeptLog) -> None:
    kept.add_signed(10)
    kept.add(5)
    edit(kept, parse_line(kept.lines()[13])["hash"].encode() + b'"}\n', b"0" * 64 + b'"}\n')
    with pytest.raises(AuditCorrupt, match="Record 13 of the audit log does not follow"):
        kept.checkpoint_signer.publish_next()


def test_a_last_record_replaced_by_another_that_chains_is_not_signed(kept: KeptLog) -> None:
    """The mark says which one was written."""
    kept.add_signed(10)
    kept.add(5)
    changed = rehashed(kept.lines(), lambda line: line.replace(b'"alice"', b'"carol"'), 15)
    kept.path.write_bytes(changed)
    with pytest.raises(AuditCorrupt, match="Record 15 of the audit log is not the one that was written"):
        kept.checkpoint_signer.publish_next()


def test_a_log_that_ends_before_its_mark_is_not_signed(kept: KeptLog) -> None:
    kept.add_signed(10)
    kept.add(5)
    last = len(kept.lines()[-1]) + 1
    for size, what in (
        (100, "Record 15 of the audit log does not follow"),
        (last - 100, "ends after record 14, but more records were durable"),
    ):
        os.truncate(kept.path, kept.path.stat().st_size - size)
        with pytest.raises(AuditCorrupt, match=what):
            KeptLog(kept.path.parent).checkpoint_signer.publish_next()


def test_a_wrong_key_signs_nothing(kept: KeptLog) -> None:
    kept.add_signed(10)
    check_refused(kept.path.parent, "is not signed by the log key", OTHER_SIGNER)
    (kept.tree.folder / "checkpoint").unlink()
    check_refused(kept.path.parent, "begun under another log key", OTHER_SIGNER)


def test_a_key_of_the_same_name_is_a_wrong_key(kept: KeptLog) -> None:
    kept.add_signed(10)
    check_refused(kept.path.parent, "is not signed by the log key", Signer.generate(SIGNER.name))


def test_the_folder_of_another_log_is_refused(tmp_path: Path, kept: KeptLog) -> None:
    """Of one with the same key, such as a copy that was continued."""
    kept.add_signed(10)
    other = KeptLog(tmp_path / "other")
    other.add_signed(10)
    shutil.copytree(other.tree.folder, kept.tree.folder, dirs_exist_ok=True)
    check_refused(kept.path.parent, "Record 10 of the audit log is not what was signed|those that were signed", at_start=False)
