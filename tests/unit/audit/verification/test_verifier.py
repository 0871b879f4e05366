"""The verdicts on a log: what is right, up to where, and against which heads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.admin.verify_log import verify
from app.audit.evidence.log_key import store_signer
from app.audit.evidence.signer import CheckpointSigner
from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.chain import link
from app.audit.format.merkle import RightEdge, leaf_hash
from app.audit.format.note import Signer, sign_checkpoint
from app.audit.format.record import EMPTY, draft, split_lines
from app.audit.format.tiles import Tile
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.long_texts import LongTexts
from app.audit.verification.kept_texts import TextsFound
from app.audit.verification.report import Report, Verdict
from app.audit.verification.verifier import (
    BATCH_LINES,
    ExpectedEvidence,
    KnownHead,
    Verification,
    first_differences,
    in_batches,
    read_head,
)

from ....support.evidence import SIGNER, STAMP, Evidence, rehashed

LOG = Evidence(24, (9,))
KEY = SIGNER.verifier_key
NOTHING = ExpectedEvidence()
THIEF = Signer(SIGNER.name, Ed25519PrivateKey.from_private_bytes(b"t" * 32))


def head(log: Evidence, size: int, *, given: bool = True, signer: Signer = SIGNER) -> KnownHead:
    return read_head(f"head {size}", sign_checkpoint(size, log.roots[size], signer), signer.verifier_key, given=given)


def report(data: bytes, held: ExpectedEvidence = NOTHING, stored: Evidence | None = None) -> Report:
    """What is found in these bytes; *stored* is the log whose leaf hashes stand beside it."""
    verification = Verification(held)
    for lines in in_batches(split_lines([data])):
        verification.feed(lines)

    def blame(heads: Any) -> dict[KnownHead, int]:
        return first_differences(split_lines([data]), heads, fetch_of(stored)) if stored else {}

    return verification.finish(blame)


def fetch_of(log: Evidence) -> Callable[[Tile], bytes]:
    def fetch(tile: Tile) -> bytes:
        leaves = log.leaves[tile.index * 256 : tile.index * 256 + tile.width]
        assert tile.level == 0
        return b"".join(leaves)

    return fetch


def told(found: Report) -> list[int | None]:
    return [one.seq for one in found.problems]


FORGED = rehashed(LOG.lines, lambda line: line.replace(b'"query":"4"', b'"query":"5"'), 4)
CUT = b"".join(line + b"\n" for line in LOG.lines[:20])


# --- the verdicts --------------------------------------------------------------------------------


def test_a_sound_log_is_right_up_to_its_end_and_signed_up_to_its_head() -> None:
    found = report(LOG.data, ExpectedEvidence(LOG.receipts[:12], (head(LOG, 9), head(LOG, 24, given=False))))
    assert found.ok
    assert (found.entries, found.head) == (24, LOG.receipts[23])
    assert found.integrity == Verdict("ok", 23)
    assert found.signatures == Verdict("ok", 23)
    assert found.completeness == Verdict("ok", 11)


def test_what_nothing_was_given_for_is_not_checked() -> None:
    found = report(LOG.data)
    assert found.ok
    assert found.signatures == found.completeness == Verdict("not_checked", None)
    unsigned = read_head("kept", LOG.checkpoint(9), None, given=True)
    found = report(LOG.data, ExpectedEvidence(heads=(unsigned,)))
    assert (found.signatures, found.completeness) == (Verdict("not_checked", None), Verdict("ok", 8))


def test_a_changed_record_ends_integrity_before_it_and_leaves_heads_before_it_standing() -> None:
    broken = LOG.data.replace(b'"query":"15"', b'"query":"16"', 1)
    found = report(broken, ExpectedEvidence(LOG.receipts[3:4], (head(LOG, 9), head(LOG, 24, given=False))), LOG)
    assert found.integrity == Verdict("failed", 14)
    assert found.signatures == Verdict("failed", 8)
    assert found.completeness == Verdict("ok", 8)
    assert found.ends.verdict == "not_checked"
    assert told(found) == [15, 15]
    assert report(LOG.data[1:]).integrity == Verdict("failed", None)
    assert report(broken, ExpectedEvidence(LOG.receipts[20:21])).completeness == Verdict("ok", None)  # it is there, after a break


def test_open_questions_and_recoveries_are_told_and_are_no_problem() -> None:
    drafts = [draft("log.opened", None, {})] + [draft("ask.received", "alice", {"query": "?"}) for _ in range(3)]
    drafts += [draft("ask.answered", "alice", {"received": 2, "answer": "!"}), draft("log.recovered", None, {"bytes": 7})]
    found = report(link(drafts, EMPTY, STAMP)[0])
    assert found.ok
    assert (found.open, found.recovered, found.ends) == ([1, 3], [5], Verdict("ok", 5))


def test_a_head_that_another_key_signed_fails_the_signatures_and_no_record_is_blamed() -> None:
    found = report(LOG.data, ExpectedEvidence(refused=("stolen proves nothing",)))
    assert (told(found), found.signatures, found.completeness.verdict) == ([None], Verdict("failed", None), "not_checked")


@pytest.mark.parametrize("batch", [1, 2, 7, 9, 23, 24, 100])
@pytest.mark.parametrize("data", [LOG.data, FORGED, CUT, LOG.data[:-9], b""], ids=["sound", "forged", "cut", "torn", "empty"])
def test_the_report_is_the_same_however_the_lines_come(batch: int, data: bytes) -> None:
    held = ExpectedEvidence(LOG.receipts[20:22], (head(LOG, 0), head(LOG, 9), head(LOG, 24), head(LOG, 24, given=False)))
    lines = list(split_lines([data]))
    verification = Verification(held)
    for at in range(0, len(lines), batch):
        verification.feed(lines[at : at + batch])
    assert verification.finish() == report(data, held)


def test_a_last_line_without_its_newline_is_the_only_problem() -> None:
    found = report(LOG.data[:-1], ExpectedEvidence(heads=(head(LOG, 24),)), LOG)
    assert (told(found), found.completeness) == ([23], Verdict("ok", 23))


def test_every_log_begins_with_the_empty_one() -> None:
    assert report(LOG.data, ExpectedEvidence(heads=(head(LOG, 0),))).completeness == Verdict("ok", None)
    wrong = read_head("empty", sign_checkpoint(0, bytes(32), SIGNER), KEY, given=True)
    found = report(LOG.data, ExpectedEvidence(heads=(wrong,)))
    assert (told(found), found.completeness) == ([0], Verdict("failed", None))


def test_where_a_line_might_have_followed_is_forgotten_after_the_next_sound_one() -> None:
    """Else the true line 5, put in later, would pass as the one that follows line 4, from before the changed one."""
    lines = [line + b"\n" for line in LOG.lines]
    changed = [*lines[:5], lines[5].replace(b'"5"', b'"6"'), *lines[6:8], lines[5], *lines[8:]]
    assert told(report(b"".join(changed))) == [5, 8]


# --- what a chain alone does not show ------------------------------------------------------------


def test_a_log_written_anew_by_who_has_the_key_is_found_through_a_receipt_or_an_older_head() -> None:
    anew = Evidence(24, (9,))
    anew.lines = FORGED.split(b"\n")[:-1]
    edge = RightEdge()
    edge.extend(map(leaf_hash, anew.lines))
    anew.roots[24], anew.leaves = edge.root(), [leaf_hash(line) for line in anew.lines]
    own = head(anew, 24, given=False)
    assert report(FORGED, ExpectedEvidence(heads=(own,)), anew).ok
    by_receipt = report(FORGED, ExpectedEvidence(LOG.receipts[17:18], (own,)), anew)
    assert (told(by_receipt), by_receipt.completeness) == ([17], Verdict("failed", None))
    by_head = report(FORGED, ExpectedEvidence(heads=(head(LOG, 9), own)), anew)
    assert (told(by_head), by_head.completeness, by_head.signatures) == ([8], Verdict("failed", None), Verdict("ok", 23))


def test_a_log_written_anew_without_the_key_is_found_and_the_stored_leaves_name_the_record() -> None:
    own = ExpectedEvidence(heads=(head(LOG, 24, given=False),))
    assert told(report(FORGED, own, LOG)) == [4]
    assert told(report(FORGED, own)) == [23]
    assert report(FORGED, own).signatures == Verdict("failed", None)
    assert report(FORGED, own).integrity == Verdict("ok", 23)


def test_a_cut_tail_whose_head_was_rolled_back_with_it_is_found_through_a_receipt_or_a_newer_head() -> None:
    back = Evidence(20)
    own = head(back, 20, given=False)
    assert report(CUT, ExpectedEvidence(heads=(own,)), LOG).ok
    by_receipt = report(CUT, ExpectedEvidence(LOG.receipts[21:22], (own,)), LOG)
    assert (told(by_receipt), by_receipt.completeness) == ([21], Verdict("failed", None))
    assert "cut off" in by_receipt.problems[0].problem
    for stored, named in ((LOG, 20), (None, 23)):  # 20 is the first that is missing
        by_head = report(CUT, ExpectedEvidence(heads=(head(LOG, 9), head(LOG, 24), own)), stored)
        assert (told(by_head), by_head.completeness, by_head.signatures) == ([named], Verdict("failed", 8), Verdict("ok", 19))
        assert "cut off" in by_head.problems[0].problem


def test_a_tail_that_was_cut_below_the_logs_own_head_is_found_without_any_help() -> None:
    found = report(CUT, ExpectedEvidence(heads=(head(LOG, 24, given=False),)), LOG)
    assert (told(found), found.signatures) == ([20], Verdict("failed", None))


def test_stored_leaves_that_were_not_signed_blame_nobody() -> None:
    liar = Evidence(24, (9,))
    liar.leaves = [leaf_hash(line) for line in FORGED.split(b"\n")[:-1]]
    wrong = head(LOG, 24)
    assert first_differences(split_lines([FORGED]), [wrong], fetch_of(liar)) == {}
    assert first_differences(split_lines([FORGED]), [wrong], fetch_of(Evidence(24, text="other "))) == {}
    assert first_differences(split_lines([FORGED]), [wrong], fetch_of(LOG)) == {wrong: 4}
    assert first_differences(split_lines([LOG.data]), [wrong], fetch_of(LOG)) == {}
    assert first_differences(split_lines([FORGED]), [head(LOG, 9), wrong], fetch_of(LOG)) == {head(LOG, 9): 4, wrong: 4}
    later = rehashed(LOG.lines, lambda line: line.replace(b'"15"', b'"16"'), 15)
    assert first_differences(split_lines([later]), [head(LOG, 9), wrong], fetch_of(LOG)) == {wrong: 15}


def test_the_difference_is_found_in_a_log_of_many_tiles() -> None:
    size = 2 * BATCH_LINES + 300
    data, _, _ = link([draft("log.alive", None, {"n": n}) for n in range(size)], EMPTY, STAMP)
    lines = list(split_lines([data]))
    leaves = [leaf_hash(line[:-1]) for line in lines]
    edge = RightEdge()
    edge.extend(leaves)
    signed = read_head("head", sign_checkpoint(size, edge.root(), SIGNER), KEY, given=False)
    for at in (0, 255, 256, BATCH_LINES - 1, BATCH_LINES, size - 1):
        changed = [*lines[:at], lines[at].replace(b"alive", b"dead"), *lines[at + 1 :]]

        def fetch(tile: Tile) -> bytes:
            return b"".join(leaves[tile.index * 256 : tile.index * 256 + tile.width])

        assert first_differences(changed, [signed], fetch) == {signed: at}


# --- a log on disk: the key, the heads beside it ------------------------------------------


class Site:
    """A folder as `init` and the notary leave it, with a log of our own making."""

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
        store = JsonlStore(self.log)
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


def test_the_logs_own_head_is_checked_under_its_own_key_or_a_given_one(site: Site, tmp_path: Path) -> None:
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


def test_a_changed_long_text_is_found_and_one_that_was_never_kept_is_counted(site: Site) -> None:
    text = b"long " * 20_000
    name = hashlib.sha256(text).hexdigest()
    store = JsonlStore(site.log)
    append(store.append, [draft("ask.received", "alice", {"query": text.decode()})])
    store.close()
    site.sign()
    texts = LongTexts.beside(site.log)
    assert (verify().report.ok, verify().texts) == (True, None)  # nothing was ever kept
    texts.folder.mkdir()
    assert (verify().report.ok, verify().texts) == (True, TextsFound(missing=1))
    texts.keep({name: text})
    texts.path_of(name).write_bytes(text[:-1] + b"!")
    found = verify()
    assert (found.report.ok, found.texts, told(found.report)) == (False, TextsFound(damaged=((24, name),)), [24])
    assert name in found.report.problems[0].problem
    assert found.report.integrity == found.report.signatures == Verdict("ok", 24)
    texts.keep({name: text})
    assert (verify().report.ok, verify().texts) == (True, TextsFound(kept=1))


def test_a_key_that_is_not_the_one_of_the_first_record_fails_the_signatures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_KEY", "s" * 43)
    site = Site(tmp_path)
    site.log.write_bytes(link([draft("log.opened", None, {"vkey": THIEF.verifier_key.text()})], EMPTY, STAMP)[0])
    for path in site.tree.folder.iterdir():
        path.unlink()
    found = verify().report
    assert (found.ok, found.signatures.verdict) == (False, "failed")
    assert "another key" in found.problems[0].problem


def test_a_rewritten_log_is_named_at_its_record_by_what_stands_beside_it(site: Site) -> None:
    forged = rehashed(LOG.lines, lambda line: line.replace(b'"query":"4"', b'"query":"5"'), 4)
    site.log.write_bytes(forged)
    assert told(verify().report) == [4]
    (site.tree.folder / "hashes.0").unlink()
    assert told(verify().report) == [23]
