"""The published checkpoint: an interrupted publication is completed, and no checkpoint contradicts another."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.audit.evidence.published import PublishedCheckpoint
from app.audit.format.note import sign_checkpoint
from app.errors import AuditCorrupt, EvidenceUnavailable

from ....support.evidence import OTHER_SIGNER, SIGNER, KeptLog


@pytest.fixture
def kept(tmp_path: Path) -> KeptLog:
    return KeptLog(tmp_path / "log")


def published(kept: KeptLog) -> PublishedCheckpoint:
    """As a process that has seen none yet."""
    return PublishedCheckpoint(kept.tree, SIGNER.verifier_key)


# --- what an interrupted publication leaves ------------------------------------------------------


def test_a_checkpoint_that_was_left_unpublished_is_published(kept: KeptLog) -> None:
    """After a loss of power the old checkpoint may be back, and the new one beside it. It may have been served."""
    old, new = kept.add_signed(3, 5)
    (kept.tree.folder / "checkpoint").write_bytes(old.note)
    (kept.tree.folder / "checkpoint.new").write_bytes(new.note)
    kept.add(5)
    head = KeptLog(kept.path.parent).checkpoint_signer.publish_next(at_most=1)
    assert head is not None
    assert head.size == new.size + 1
    assert not (kept.tree.folder / "checkpoint.new").exists()


def test_a_first_checkpoint_that_was_left_unpublished_is_published(kept: KeptLog) -> None:
    kept.add_signed(3)
    (kept.tree.folder / "checkpoint").rename(kept.tree.folder / "checkpoint.new")
    kept.add(5)
    head = KeptLog(kept.path.parent).checkpoint_signer.publish_next(at_most=1)
    assert head is not None
    assert head.size == 5


@pytest.mark.parametrize("torn", [b"", b"\0" * 200, b"half", b"older", b"foreign"])
def test_a_torn_older_or_foreign_unpublished_checkpoint_is_discarded(kept: KeptLog, torn: bytes) -> None:
    old, new = kept.add_signed(3, 5)
    given = {b"half": new.note[:-9], b"older": old.note, b"foreign": sign_checkpoint(99, b"r" * 32, OTHER_SIGNER)}
    (kept.tree.folder / "checkpoint.new").write_bytes(given.get(torn, torn))
    assert kept.signed() == new
    assert not (kept.tree.folder / "checkpoint.new").exists()
    kept.check_checkpoints([old.note, new.note, kept.add_signed(1)[0].note])


def test_where_nothing_was_left_recovery_changes_nothing(kept: KeptLog) -> None:
    assert published(kept).recover() is None
    [signed] = kept.add_signed(3)
    assert published(kept).recover() == signed
    assert kept.tree.checkpoint() == signed.note


# --- the checkpoint that is served -----------------------------------------------------------------


def test_a_checkpoint_is_read_and_its_signature_verified(kept: KeptLog) -> None:
    assert published(kept).current() is None
    [signed] = kept.add_signed(3)
    assert published(kept).current() == signed
    (kept.tree.folder / "checkpoint").write_bytes(sign_checkpoint(4, bytes(32), OTHER_SIGNER))
    with pytest.raises(AuditCorrupt, match="is not signed by the log key"):
        published(kept).current()


def test_a_checkpoint_that_was_remembered_first_stays_the_one_to_continue(kept: KeptLog) -> None:
    old, new = kept.add_signed(3, 5)
    first = published(kept)
    first.start_from(new)
    first.start_from(old)
    (kept.tree.folder / "checkpoint").write_bytes(old.note)
    with pytest.raises(AuditCorrupt, match="went back: one over 9 records"):
        first.current()


def test_no_checkpoint_is_signed_until_a_damaged_tree_is_rebuilt(kept: KeptLog) -> None:
    kept.add_signed(3)
    watching = published(kept)
    assert watching.current()
    kept.add_signed(5)
    (kept.tree.folder / "hashes.0").write_bytes(b"\0" * 9 * 32)
    with pytest.raises(EvidenceUnavailable, match="being rebuilt"):
        watching.current()
    assert kept.tree.is_damaged()


def test_a_publication_by_another_thread_does_not_look_like_a_step_back(kept: KeptLog) -> None:
    kept.add_signed(3)
    kept.add(1)
    read = kept.tree.checkpoint

    def read_and_sign() -> bytes | None:
        note = read()
        kept.tree.checkpoint = read  # type: ignore[method-assign]
        kept.checkpoint_signer.publish_next()
        return note

    kept.tree.checkpoint = read_and_sign  # type: ignore[method-assign]
    assert [head and head.size for head in (kept.checkpoint_signer.published(), kept.checkpoint_signer.published())] == [4, 5]


def test_a_checkpoint_that_went_back_is_refused_if_a_newer_one_was_seen(kept: KeptLog) -> None:
    old, new = kept.add_signed(3, 5)
    for note in (old.note, None):
        (kept.tree.folder / "checkpoint").unlink()
        if note:
            (kept.tree.folder / "checkpoint").write_bytes(note)
        with pytest.raises(AuditCorrupt, match="went back: one over 9 records"):
            kept.checkpoint_signer.published()
    (kept.tree.folder / "checkpoint").write_bytes(new.note)
    assert kept.checkpoint_signer.published() == new


def test_a_checkpoint_that_contradicts_one_that_was_seen_is_refused(tmp_path: Path) -> None:
    """As if an older copy of log and tree were restored, and another signer went on from there."""
    kept = KeptLog(tmp_path)
    kept.add_signed(5)
    other = KeptLog(tmp_path / "copy")
    other.add_signed(9)
    for name in ("checkpoint", "hashes.0", "ends"):
        (kept.tree.folder / name).write_bytes((other.tree.folder / name).read_bytes())
    with pytest.raises(AuditCorrupt, match="contradicts one over 6 records"):
        kept.checkpoint_signer.published()
