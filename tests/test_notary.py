"""The notary: no head contradicts another, whoever dies when; and it signs nothing but what was written and chains."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.errors import AuditCorrupt, EvidenceUnavailable
from app.security.audit import files, tree
from app.security.audit.entry import parse_line
from app.security.audit.jsonl import JsonlStore
from app.security.audit.note import Signer, sign_checkpoint

from .evidence import SIGNER, KeptLog, rehashed
from .forgetful_folder import Died, ForgetfulFolder

SPAWN = multiprocessing.get_context("spawn")
OTHER = Signer.generate("another/log")


@pytest.fixture
def kept(tmp_path: Path) -> KeptLog:
    return KeptLog(tmp_path / "log")


def cut_short(folder: Path, monkeypatch: pytest.MonkeyPatch, end_at: int, fails: bool = False) -> ForgetfulFolder:
    """One turn that ends at the given call, or runs through."""
    disk = ForgetfulFolder(folder / "audit_log.tree", end_at, fails)
    with monkeypatch.context() as patch:
        for module in (tree, files):
            patch.setattr(module, "os", disk)
        kept = KeptLog(folder)
        try:
            kept.notary.turn()
        except (Died, EvidenceUnavailable):
            pass
        else:
            assert end_at == -1 or kept.notary.published() is not None
    return disk


# --- a turn that is cut short --------------------------------------------------------------------

STAGES = {"the first": ((), 1), "an ordinary one": ((4,), 3), "into a new tile": ((200, 54), 2), "of two tiles": ((255,), 300)}
POWER = {"the process dies": None} | {
    f"power fails, names {n}, bytes {b}": (n == "persisted", b == "persisted")
    for n in ("lost", "persisted")
    for b in ("lost", "persisted")
}


@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
@pytest.mark.parametrize("after", POWER.values(), ids=list(POWER))
@pytest.mark.parametrize("fails", [False, True], ids=["dies at it", "it fails"])
def test_whatever_step_a_turn_ends_at_the_next_succeeds_and_no_head_that_was_readable_is_contradicted(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stage: tuple[tuple[int, ...], int],
    after: tuple[bool, bool] | None,
    fails: bool,
) -> None:
    before, new = stage
    made = KeptLog(tmp_path / "made")
    heads = [head.note for head in made.add_signed(*before)]
    made.add(new)
    made.store.close()
    shutil.copytree(tmp_path / "made", tmp_path / "whole")
    disk = cut_short(tmp_path / "whole", monkeypatch, -1)
    assert disk.calls > 12
    assert len(disk.served) == 1
    for end_at in range(disk.calls):
        folder = tmp_path / str(end_at)
        shutil.copytree(tmp_path / "made", folder)
        disk = cut_short(folder, monkeypatch, end_at, fails)
        readable = [*heads, *disk.served, *published(folder)]
        if after is not None:
            disk.lose_power(names_persisted=after[0], bytes_persisted=after[1])
            readable += published(folder)
        disk.forget()
        next_process = KeptLog(folder)
        next_process.notary.verify_start()
        readable += [head.note for head in next_process.add_signed(0, 2, 300)]
        next_process.check_heads(readable)
        next_process.store.close()


def published(folder: Path) -> list[bytes]:
    path = folder / "audit_log.tree/checkpoint"
    return [path.read_bytes()] if path.exists() else []


def test_a_notary_killed_at_any_call_leaves_what_the_next_one_continues(kept: KeptLog) -> None:
    """A real process, really gone, turn after turn of the same log."""
    notes = [kept.signed().note]
    for end_at in range(25):
        kept.add(20)
        pid = os.fork()
        if pid == 0:
            try:
                monkey = pytest.MonkeyPatch()
                disk = cut_short(kept.path.parent, monkey, end_at)
                os._exit(0 if disk.calls <= end_at else 9)
            finally:
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, 9)
        notes += published(kept.path.parent)
    assert status == 0, "more calls than were tried"
    kept.check_heads([*notes, kept.add_signed(1)[0].note])


def test_a_head_that_was_left_unpublished_and_may_have_been_served_is_taken_up(kept: KeptLog) -> None:
    """After a loss of power the old name may be back, and the new head stands beside it."""
    old, new = kept.add_signed(3, 5)
    (kept.tree.folder / "checkpoint").write_bytes(old.note)
    (kept.tree.folder / "checkpoint.new").write_bytes(new.note)
    assert KeptLog(kept.path.parent).signed() == new
    assert kept.tree.checkpoint() == new.note
    assert not (kept.tree.folder / "checkpoint.new").exists()


def test_a_head_that_is_left_unpublished_by_the_first_turn_is_taken_up(kept: KeptLog) -> None:
    [head] = kept.add_signed(3)
    (kept.tree.folder / "checkpoint").rename(kept.tree.folder / "checkpoint.new")
    assert KeptLog(kept.path.parent).signed() == head


@pytest.mark.parametrize("torn", [b"", b"\0" * 200, b"half", b"older", b"foreign"])
def test_a_torn_an_older_or_a_foreign_head_that_was_left_is_discarded(kept: KeptLog, torn: bytes) -> None:
    old, new = kept.add_signed(3, 5)
    told = {b"half": new.note[:-9], b"older": old.note, b"foreign": sign_checkpoint(99, b"r" * 32, OTHER)}
    (kept.tree.folder / "checkpoint.new").write_bytes(told.get(torn, torn))
    assert kept.signed() == new
    assert not (kept.tree.folder / "checkpoint.new").exists()
    kept.check_heads([old.note, new.note, kept.add_signed(1)[0].note])


# --- who signs what, and when --------------------------------------------------------------------


def test_a_turn_signs_no_more_than_it_may_and_the_next_goes_on(kept: KeptLog) -> None:
    kept.add(999)
    heads = [kept.notary.turn(at_most=300) for _ in range(5)]
    assert [head and head.size for head in heads] == [300, 600, 900, 1000, 1000]
    kept.check_heads([head.note for head in heads if head])


def test_the_same_head_is_the_same_bytes(kept: KeptLog) -> None:
    [head] = kept.add_signed(7)
    (kept.tree.folder / "checkpoint").unlink()
    assert KeptLog(kept.path.parent).signed().note == head.note


def test_where_nothing_was_recorded_nothing_is_signed(tmp_path: Path) -> None:
    kept = KeptLog(tmp_path)
    kept.store.close()
    kept.store.lock_path.write_bytes(b"")  # no mark: where the log ends is not known yet
    assert kept.notary.turn() is None
    assert kept.notary.published() is None


def test_two_notaries_in_two_processes_at_once_never_contradict_each_other(kept: KeptLog) -> None:
    processes = [SPAWN.Process(target=sign_for_long, args=(str(kept.path.parent), n)) for n in range(2)]
    for process in processes:
        process.start()
    notes: list[bytes] = []
    for number in range(60):
        kept.add(10, text=str(number))
        note = kept.tree.checkpoint()
        if note is not None and note not in notes:
            notes.append(note)
    (kept.path.parent / "stop").touch()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    notes += published(kept.path.parent)
    kept.check_heads(notes)
    signed = [note for n in range(2) for note in (kept.path.parent / f"signed.{n}").read_bytes().split(b"\0")[:-1]]
    assert len(signed) > 2
    kept.check_heads(sorted(signed, key=lambda note: int(note.split(b"\n")[1])))


def sign_for_long(folder: str, number: int) -> None:
    kept, notes = KeptLog(Path(folder)), b""
    while not (Path(folder) / "stop").exists():
        notes += kept.signed().note + b"\0"
    (Path(folder) / f"signed.{number}").write_bytes(notes)


def test_while_another_holds_the_lock_a_turn_is_refused_in_time_and_nothing_else_waits(kept: KeptLog) -> None:
    [head] = kept.add_signed(3)
    with tree.StoredTree(kept.tree.folder).locked(0):
        kept.add(1)
        with pytest.raises(EvidenceUnavailable) as refused:
            kept.notary.turn(patience_seconds=0.05)
        assert refused.value.retry_after
        assert kept.notary.published() == head
        assert kept.reader.entry(2) == kept.lines()[2] + b"\n"
    assert kept.signed().size == 5


# --- a log that is not what was signed -----------------------------------------------------------


def edit(kept: KeptLog, old: bytes, new: bytes) -> None:
    data = kept.path.read_bytes()
    assert data.count(old) == 1
    kept.path.write_bytes(data.replace(old, new))


def cut_and_remark(kept: KeptLog) -> None:
    """The last five records, and the mark set back with them, as somebody would who wants the log to look whole."""
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
    """At the start, and by a turn once there is more to sign; nothing is signed."""
    before = published(folder)
    kept = KeptLog(folder, signer)
    attempts: list[Callable[[], Any]] = [kept.notary.verify_start] if at_start else []
    kept.log.settle()
    kept.add(adding)
    for attempt in (*attempts, kept.notary.turn, kept.notary.turn):
        with pytest.raises(AuditCorrupt, match=what) as refused:
            attempt()
        assert refused.value.detail.endswith(".")
    assert published(folder) == before


def test_a_log_cut_below_what_was_signed_is_refused(kept: KeptLog) -> None:
    kept.add_signed(30)
    cut_and_remark(kept)
    kept.log.settle()
    with pytest.raises(AuditCorrupt, match="has 26 records, and a head over 31 was signed"):
        KeptLog(kept.path.parent).notary.verify_start()
    kept.notary.turn()  # nothing to sign, nothing to say
    check_refused(kept.path.parent, "those that were signed|does not follow|what was signed", at_start=False)


@pytest.mark.parametrize("size", [256, 31])
def test_an_edited_last_record_is_refused_at_the_start_and_by_a_turn(kept: KeptLog, size: int) -> None:
    kept.add_signed(size - 1)
    rewrite(kept, size - 1)
    check_refused(kept.path.parent, f"Record {size - 1} of the audit log is not what was signed")


def test_an_edited_last_record_is_refused_by_a_notary_that_runs_already(kept: KeptLog) -> None:
    kept.add_signed(30)
    rewrite(kept, 30)
    kept.store.close()
    KeptLog(kept.path.parent).add(3)  # which chain to the edited one
    with pytest.raises(EvidenceUnavailable):
        kept.notary.turn()
    with pytest.raises(AuditCorrupt, match="Record 30 of the audit log is not what was signed"):
        kept.notary.turn()


def test_a_middle_record_edited_and_all_hashes_made_anew_is_refused(kept: KeptLog) -> None:
    """Then the last record is another, too."""
    kept.add_signed(600)
    rewrite(kept, 300)
    check_refused(kept.path.parent, "Record 600 of the audit log is not what was signed")


def test_a_middle_record_edited_before_the_tree_is_made_anew_is_refused(kept: KeptLog) -> None:
    kept.add_signed(600)
    edit(kept, b'"query":"300"', b'"query":"399"')
    (kept.tree.folder / "hashes.1").unlink()
    check_refused(kept.path.parent, "Record 301 of the audit log does not follow", at_start=False)


def test_another_log_rewritten_from_its_first_record_is_not_taken_for_the_signed_one(kept: KeptLog) -> None:
    kept.add_signed(40)
    rewrite(kept, 1)
    (kept.tree.folder / "hashes.0").unlink()
    check_refused(kept.path.parent, "The first 41 records of the audit log are not those that were signed", at_start=False)


def test_new_records_that_do_not_chain_are_not_signed(kept: KeptLog) -> None:
    kept.add_signed(10)
    kept.add(5)
    edit(kept, parse_line(kept.lines()[13])["hash"].encode() + b'"}\n', b"0" * 64 + b'"}\n')
    with pytest.raises(AuditCorrupt, match="Record 13 of the audit log does not follow"):
        kept.notary.turn()


def test_a_last_record_exchanged_for_another_that_chains_is_not_signed(kept: KeptLog) -> None:
    """The mark says which one was written."""
    kept.add_signed(10)
    kept.add(5)
    changed = rehashed(kept.lines(), lambda line: line.replace(b'"alice"', b'"carol"'), 15)
    kept.path.write_bytes(changed)
    with pytest.raises(AuditCorrupt, match="Record 15 of the audit log is not the one that was written"):
        kept.notary.turn()


def test_a_log_that_ends_before_its_mark_is_not_signed(kept: KeptLog) -> None:
    kept.add_signed(10)
    kept.add(5)
    os.truncate(kept.path, kept.path.stat().st_size - 100)
    with pytest.raises(AuditCorrupt, match="Record 15|ends after record 14"):
        kept.notary.turn()


def test_a_wrong_key_signs_nothing(kept: KeptLog) -> None:
    kept.add_signed(10)
    check_refused(kept.path.parent, "is not signed by the log key", OTHER)
    (kept.tree.folder / "checkpoint").unlink()
    check_refused(kept.path.parent, "begun under another log key", OTHER)


def test_a_key_of_the_same_name_is_a_wrong_key(kept: KeptLog) -> None:
    kept.add_signed(10)
    check_refused(kept.path.parent, "is not signed by the log key", Signer.generate(SIGNER.name))


def test_the_folder_of_another_log_is_refused(tmp_path: Path, kept: KeptLog) -> None:
    """Of one with the same key, such as a copy that went its own way."""
    kept.add_signed(10)
    other = KeptLog(tmp_path / "other")
    other.add_signed(10)
    shutil.copytree(other.tree.folder, kept.tree.folder, dirs_exist_ok=True)
    check_refused(kept.path.parent, "Record 10 of the audit log is not what was signed|those that were signed", at_start=False)


# --- no false alarm ------------------------------------------------------------------------------


@pytest.mark.parametrize("lock_file", ["stale", "empty", "absent"])
def test_a_mark_that_lags_behind_what_was_signed_is_no_cut_log(kept: KeptLog, lock_file: str) -> None:
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
    assert again.notary.turn() == heads[0]
    again.log.settle()
    again.notary.verify_start()
    again.check_heads([head.note for head in (*heads, *again.add_signed(2))])


# --- speed, counted ------------------------------------------------------------------------------


class CountingStore(JsonlStore):
    read_bytes = 0

    def chunks(self, end: int, start: int = 0) -> Any:
        for chunk in super().chunks(end, start):
            self.read_bytes += len(chunk)
            yield chunk


def test_the_start_and_a_turn_read_a_few_kib_however_long_the_log_is(kept: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 records. What is read of the tree is counted by the file system calls."""
    kept.add(99_999)
    for _ in range(5):
        kept.notary.turn()
    assert kept.notary.published() == kept.notary.turn()
    assert kept.signed().size == 100_000
    store, read = CountingStore(kept.path), [0]

    class Counting:
        def pread(self, fd: int, size: int, offset: int) -> bytes:
            data = os.pread(fd, size, offset)
            read[0] += len(data)
            return data

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

    monkeypatch.setattr(tree, "os", Counting())
    notary = type(kept.notary)(store, kept.tree, SIGNER)
    notary.verify_start()
    assert store.read_bytes + read[0] < 256 * 1024
    notary.turn()
    kept.add(1)
    store.read_bytes = read[0] = 0
    assert (head := notary.turn()) is not None
    assert head.size == 100_001
    assert store.read_bytes + read[0] < 256 * 1024
