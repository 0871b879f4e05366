"""The checkpoint signer: no checkpoint contradicts another, whichever process ends when."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from app.audit.evidence import stored_tree as tree
from app.audit.format.chain import link
from app.audit.format.record import draft
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.store import Batch
from app.errors import EvidenceUnavailable

from ....support.evidence import SIGNER, STAMP, KeptLog, published_in
from ....support.replaced_os import RealOs

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def kept(tmp_path: Path) -> KeptLog:
    return KeptLog(tmp_path / "log")


# --- who signs what, and when --------------------------------------------------------------------


def test_a_publication_adds_no_more_than_it_may_and_the_next_goes_on(kept: KeptLog) -> None:
    kept.add(999)
    heads = [kept.checkpoint_signer.publish_next(at_most=300) for _ in range(5)]
    assert [head and head.size for head in heads] == [300, 600, 900, 1000, 1000]
    kept.check_checkpoints([head.note for head in heads if head])


def test_the_same_log_is_signed_in_the_same_bytes(kept: KeptLog) -> None:
    [head] = kept.add_signed(7)
    (kept.tree.folder / "checkpoint").unlink()
    assert KeptLog(kept.path.parent).signed().note == head.note


def test_where_nothing_was_recorded_nothing_is_signed(tmp_path: Path) -> None:
    kept = KeptLog(tmp_path)
    kept.store.close()
    kept.store.lock_path.write_bytes(b"")  # no mark: where the log ends is not known yet
    assert kept.checkpoint_signer.publish_next() is None
    assert kept.checkpoint_signer.published() is None


@pytest.mark.slow
def test_two_signers_in_two_processes_never_contradict_each_other(kept: KeptLog) -> None:
    folder = kept.path.parent
    processes = [SPAWN.Process(target=sign_for_long, args=(str(folder), n)) for n in range(2)]
    for process in processes:
        process.start()
    notes: list[bytes] = []
    while not all((folder / f"signed.{n}").exists() for n in range(2)):
        assert all(process.exitcode in (None, 0) for process in processes)
        kept.add(10)
        notes += [note for note in published_in(folder) if note not in notes[-1:]]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    kept.check_checkpoints([*notes, *published_in(folder)])
    for n in range(2):
        signed = (folder / f"signed.{n}").read_bytes().split(b"\0")
        assert len(signed) == 5
        kept.check_checkpoints(signed)


def sign_for_long(folder: str, number: int) -> None:
    """Until this process has seen five checkpoints."""
    kept, notes = KeptLog(Path(folder)), list[bytes]()
    while len(notes) < 5:
        note = kept.signed().note
        if note not in notes:
            notes.append(note)
    (Path(folder) / f"signing.{number}").write_bytes(b"\0".join(notes))
    (Path(folder) / f"signing.{number}").rename(Path(folder) / f"signed.{number}")


def test_while_another_signer_holds_the_lock_only_signing_is_refused(kept: KeptLog) -> None:
    [head] = kept.add_signed(3)
    with tree.StoredTree(kept.tree.folder).locked(0):
        kept.add(1)
        with pytest.raises(EvidenceUnavailable) as refused:
            kept.checkpoint_signer.publish_next(timeout_seconds=0.05)
        assert refused.value.retry_after
        assert kept.checkpoint_signer.published() == head
        assert kept.reader.entry(2) == kept.lines()[2] + b"\n"
    assert kept.signed().size == 5


# --- no false alarm ------------------------------------------------------------------------------


@pytest.mark.parametrize("lock_file", ["stale", "empty", "absent"])
def test_a_mark_older_than_the_checkpoint_does_not_look_like_a_cut_log(kept: KeptLog, lock_file: str) -> None:
    """After a loss of power: the log is synced, the lock file is not."""
    kept.add(3)
    stale = kept.store.lock_path.read_bytes()
    heads = kept.add_signed(30)
    kept.store.close()
    if lock_file == "absent":
        kept.store.lock_path.unlink()
    else:
        kept.store.lock_path.write_bytes(stale if lock_file == "stale" else b"")
    again = KeptLog(kept.path.parent)
    assert again.checkpoint_signer.publish_next() == heads[0]
    again.log.recover()
    again.checkpoint_signer.verify_start()
    again.check_checkpoints([head.note for head in (*heads, *again.add_signed(2))])


# --- speed, counted ------------------------------------------------------------------------------


class CountingStore(JsonlStore):
    read_bytes = 0

    def chunks(self, end: int, start: int = 0) -> Any:
        for chunk in super().chunks(end, start):
            self.read_bytes += len(chunk)
            yield chunk


@pytest.mark.slow
def test_the_start_and_a_publication_read_a_few_kib_of_a_long_log(kept: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 records. What is read of the tree is counted by the file system calls."""
    one = draft("ask.received", "alice", {"query": "the same"})
    kept.store.append(lambda head, _: Batch((made := link([one] * 99_999, head, STAMP))[0], made[2]))
    for _ in range(5):
        kept.checkpoint_signer.publish_next()
    assert kept.checkpoint_signer.published() == kept.checkpoint_signer.publish_next()
    assert kept.signed().size == 100_000
    store, read = CountingStore(kept.path), [0]

    class Counting(RealOs):
        def pread(self, fd: int, size: int, offset: int) -> bytes:
            data = os.pread(fd, size, offset)
            read[0] += len(data)
            return data

    monkeypatch.setattr(tree, "os", Counting())
    checkpoint_signer = type(kept.checkpoint_signer)(store, kept.tree, SIGNER)
    checkpoint_signer.verify_start()
    assert store.read_bytes + read[0] < 256 * 1024
    checkpoint_signer.publish_next()
    kept.add(1)
    store.read_bytes = read[0] = 0
    assert (head := checkpoint_signer.publish_next()) is not None
    assert head.size == 100_001
    assert store.read_bytes + read[0] < 256 * 1024
