"""The evidence reader: bounded pages, exact bytes, receipts at once, and only what was signed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.audit.evidence import reader as reading
from app.audit.format.receipt import verify_receipt
from app.audit.format.record import draft, user_of
from app.audit.format.tiles import ENTRIES, Tile
from app.audit.storage.append import append
from app.errors import AuditCorrupt, EvidenceUnavailable, NotFound

from ....support.evidence import SIGNER, KeptLog


@pytest.fixture
def kept(tmp_path: Path) -> KeptLog:
    return KeptLog(tmp_path)


def record(kept: KeptLog, user_id: str | None, count: int = 1, size: int = 0) -> None:
    append(kept.store.append, [draft("ask.received", user_id, {"query": "x" * size}) for _ in range(count)])


# --- pages ---------------------------------------------------------------------------------------


def test_a_page_shows_what_is_durable_now_signed_or_not(kept: KeptLog) -> None:
    kept.add(10)
    page = kept.reader.page(3, 100)
    assert page.lines == [line + b"\n" for line in kept.lines()[3:]]
    assert page.next is None


def test_what_is_not_signed_in_time_is_left_out_of_a_page(kept: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.add_signed(4)
    kept.add(3)
    with kept.tree.locked(1):  # nobody can sign
        assert kept.reader.page(0, 100, end=5).lines == [line + b"\n" for line in kept.lines()[:5]]
        monkeypatch.setattr(reading, "WAIT_SECONDS", 0.05)
        assert kept.reader.page(3, 100) == reading.Page([line + b"\n" for line in kept.lines()[3:5]], None)
        assert kept.reader.page(6, 100) == reading.Page([], None)
        assert kept.reader.covered(8) == 5
        with pytest.raises(EvidenceUnavailable):
            kept.reader.entry(5)
    assert kept.reader.covered(8) == 8
    assert len(kept.reader.page(3, 100).lines) == 5


def test_a_page_past_the_end_is_empty(kept: KeptLog) -> None:
    assert kept.reader.page(1, 10) == kept.reader.page(10**17, 10) == reading.Page([], None)


def test_a_page_holds_no_more_lines_and_not_much_more_bytes_than_it_may(kept: KeptLog) -> None:
    record(kept, "alice", 100, size=50_000)
    page = kept.reader.page(1, 1000)
    assert reading.MAX_PAGE_BYTES <= sum(map(len, page.lines)) < reading.MAX_PAGE_BYTES + 60 * 1024
    assert page.next == 1 + len(page.lines)
    rest = kept.reader.page(page.next, 1000)
    assert page.lines + rest.lines == [line + b"\n" for line in kept.lines()[1:]]
    assert rest.next is None


def test_the_own_lines_are_found_in_bounded_stretches(kept: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LOOKED_AT", 300)
    record(kept, "bob")
    record(kept, "alice", 700)
    record(kept, "bob", 2)
    found, start, pages = list[bytes](), 0, 0
    while True:
        page = kept.reader.page(start, 10, "bob")
        found += page.lines
        pages += 1
        if page.next is None:
            break
        assert start < page.next <= start + 300
        start = page.next
    assert found == [kept.lines()[seq] + b"\n" for seq in (1, 702, 703)]
    assert pages == 3


def test_a_page_of_the_own_lines_goes_on_right_after_its_last_line(kept: KeptLog) -> None:
    for _ in range(5):
        record(kept, "bob")
        record(kept, "alice")
    page = kept.reader.page(0, 2, "bob")
    assert [user_of(line) for line in page.lines] == ["bob", "bob"]
    assert page.next == 4


# --- receipts, lines, bundles --------------------------------------------------------------------


def test_a_receipt_of_a_record_not_signed_yet_is_made_at_once(kept: KeptLog) -> None:
    for seq in (1, 2, 255, 256, 257):
        kept.add(seq - len(kept.lines()) + 1)
        proven = verify_receipt(kept.reader.receipt(seq), SIGNER.verifier_key)
        assert proven.line == kept.lines()[seq]
        assert proven.checkpoint.size == seq + 1


def test_a_record_far_past_the_checkpoint_is_reached_in_several_steps(kept: KeptLog, monkeypatch: pytest.MonkeyPatch) -> None:
    kept.add(100)
    turn = kept.checkpoint_signer.publish_next
    monkeypatch.setattr(kept.checkpoint_signer, "publish_next", lambda **how: turn(at_most=10, **how))
    assert kept.reader.entry(99) == kept.lines()[99] + b"\n"
    kept.add(1000)
    with pytest.raises(EvidenceUnavailable):  # the signing loop is far behind: one reader does not do all its work
        kept.reader.entry(1099)


def test_what_is_not_there_is_not_found(kept: KeptLog) -> None:
    kept.add_signed(4)
    for read, seq in ((kept.reader.entry, 5), (kept.reader.receipt, 10**17)):
        with pytest.raises(NotFound):
            read(seq)
    for tile in (Tile(0, 0, 6), Tile(ENTRIES, 0, 6), Tile(1, 0, 1)):
        with pytest.raises(NotFound):
            kept.reader.tile(tile)


def test_a_record_past_a_mark_that_lags_is_not_called_missing(kept: KeptLog) -> None:
    kept.add_signed(4)
    lagging = kept.store.lock_path.read_bytes()
    kept.add(2)
    kept.store.lock_path.write_bytes(lagging)  # as on a disk that failed after the sync of the records
    with pytest.raises(EvidenceUnavailable):
        kept.reader.receipt(6)
    with pytest.raises(NotFound):
        kept.reader.receipt(7)
    kept.store.lock_path.write_bytes(b"")
    with pytest.raises(EvidenceUnavailable):
        kept.reader.receipt(6)
    assert verify_receipt(kept.reader.receipt(3), SIGNER.verifier_key).line == kept.lines()[3]


# --- a log that was edited -----------------------------------------------------------------------


def test_an_edited_line_is_never_shown_and_all_others_are(kept: KeptLog) -> None:
    kept.add_signed(300)
    before = kept.path.read_bytes()
    kept.path.write_bytes(before.replace(b'"query":"199"', b'"query":"911"'))
    lines = before.split(b"\n")
    attempts: list[Callable[[], object]] = [
        lambda: kept.reader.entry(200),
        lambda: kept.reader.receipt(200),
        lambda: kept.reader.page(190, 20),
        lambda: kept.reader.tile(Tile(ENTRIES, 0)),
    ]
    for attempt in attempts:
        with pytest.raises(AuditCorrupt, match="Record 200 of the audit log is not what was signed"):
            attempt()
    assert kept.reader.page(0, 200).lines == [line + b"\n" for line in lines[:200]]
    assert kept.reader.entry(201) == lines[201] + b"\n"
    assert kept.reader.tile(Tile(0, 0))
    assert not kept.tree.is_damaged()


def test_two_lines_in_each_other_s_place_are_not_shown(kept: KeptLog) -> None:
    """They have the same length, so every end is right."""
    kept.add_signed(12)
    lines = kept.lines()
    lines[3], lines[4] = lines[4], lines[3]
    kept.path.write_bytes(b"".join(line + b"\n" for line in lines))
    for seq in (3, 4):
        with pytest.raises((AuditCorrupt, EvidenceUnavailable)):
            kept.reader.entry(seq)
