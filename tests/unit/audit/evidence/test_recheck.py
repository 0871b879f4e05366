"""Signed lines are read again: an edit is found at its record, damage of the tree is told from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from app.audit.evidence.recheck import RECENT_RECORDS, Pass, Recent
from app.audit.format.merkle import leaf_hash
from app.errors import AuditCorrupt, VerificationFailed

from ....support.evidence import KeptLog

RECORDS = 1_600


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> KeptLog:
    kept = KeptLog(tmp_path_factory.mktemp("log"))
    kept.add(RECORDS - 1, "q")
    kept.signed()
    return kept


@pytest.fixture
def kept(made: KeptLog, tmp_path: Path) -> KeptLog:
    """A copy of *made*, to be broken."""
    for path in made.path.parent.rglob("*"):
        copy = tmp_path / path.relative_to(made.path.parent)
        copy.mkdir(exist_ok=True) if path.is_dir() else copy.write_bytes(path.read_bytes())
    return KeptLog(tmp_path)


def read_all(kept: KeptLog, at_most: int = 100_000) -> int:
    """How many steps a pass over the whole log takes."""
    one, steps = Pass(kept.store, kept.tree, kept.signed().checkpoint, bytearray()), 0
    while not one.is_done:
        assert one.read(at_most) > 0
        steps += 1
    assert one.position == kept.path.stat().st_size
    return steps


@pytest.fixture(params=["in a first pass", "in a later pass"])
def known(kept: KeptLog, request: pytest.FixtureRequest) -> bytearray:
    """What the passes before know of *kept*."""
    known = bytearray()
    if request.param == "in a later pass":
        Pass(kept.store, kept.tree, kept.signed().checkpoint, known).read(1 << 30)
        assert len(known) == RECORDS // 256 * 32
    return known


def edited(kept: KeptLog, seq: int, change: Callable[[bytes], bytes]) -> None:
    lines = kept.path.read_bytes().splitlines(keepends=True)
    lines[seq] = change(lines[seq])
    kept.path.write_bytes(b"".join(lines))


EDITS: dict[str, Callable[[bytes], bytes]] = {
    "a letter": lambda line: line.replace(b'"alice"', b'"alicf"'),
    "a newline in it": lambda line: line.replace(b'"alice"', b'"ali\ne"'),
    "no newline after it": lambda line: line[:-1] + b" ",
    "zeros": lambda line: bytes(len(line)),
    "longer": lambda line: line[:-1] + b" \n",
    "removed": lambda line: b"",
}


def test_a_sound_log_is_read_in_steps_of_the_wanted_size(kept: KeptLog) -> None:
    size = kept.path.stat().st_size
    assert read_all(kept, size) == 1
    assert read_all(kept, 1) == RECORDS // 256 + 1, "whole tiles"


@pytest.mark.parametrize("seq", [1, 255, 256, 700, RECORDS - 1])
@pytest.mark.parametrize("how", EDITS)
def test_a_pass_finds_an_edit_at_its_record(kept: KeptLog, known: bytearray, seq: int, how: str) -> None:
    signed = kept.signed().checkpoint
    edited(kept, seq, EDITS[how])
    with pytest.raises(AuditCorrupt, match=rf" {seq} "):
        Pass(kept.store, kept.tree, signed, known).read(1 << 30)


def edit_tree(kept: KeptLog, name: str, offset: int) -> None:
    path = kept.tree.folder / name
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "offset"), [("hashes.0", 40), ("hashes.0", -1), ("hashes.1", 33), ("ends", 47), ("ends", -1), ("ends", 8 * 256 - 1)]
)
def test_a_pass_tells_a_damaged_tree_from_an_edited_log(kept: KeptLog, known: bytearray, name: str, offset: int) -> None:
    signed = kept.signed().checkpoint
    edit_tree(kept, name, offset)
    with pytest.raises(VerificationFailed):
        Pass(kept.store, kept.tree, signed, known).read(1 << 30)


def test_an_edit_is_found_even_if_its_leaf_and_end_were_changed_with_it(kept: KeptLog) -> None:
    """The tile no longer leads to the root; to rebuild it shows that the log is wrong."""
    signed = kept.signed().checkpoint
    edited(kept, 7, EDITS["a letter"])
    path = kept.tree.folder / "hashes.0"
    hashes = bytearray(path.read_bytes())
    hashes[7 * 32 : 8 * 32] = leaf_hash(kept.lines()[7])
    path.write_bytes(hashes)
    with pytest.raises(VerificationFailed):
        Pass(kept.store, kept.tree, signed, bytearray()).read(1 << 30)


# --- the newest records --------------------------------------------------------------------------


def followed(kept: KeptLog) -> Recent:
    recent = Recent(kept.store, kept.tree)
    recent.follow(kept.signed().checkpoint)
    recent.compare()
    return recent


@pytest.mark.parametrize("back", [1, 2, RECENT_RECORDS // 2, RECENT_RECORDS])
@pytest.mark.parametrize("how", EDITS)
def test_an_edit_of_a_recent_record_is_found_whatever_the_tree_says(kept: KeptLog, back: int, how: str) -> None:
    recent = followed(kept)
    edited(kept, RECORDS - back, EDITS[how])
    for name in ("hashes.0", "hashes.1", "ends"):
        (kept.tree.folder / name).write_bytes(b"")
    with pytest.raises(AuditCorrupt, match=rf" {RECORDS - back} "):
        recent.compare()


def test_an_older_edit_is_not_looked_for(kept: KeptLog) -> None:
    recent = followed(kept)
    edited(kept, RECORDS - RECENT_RECORDS - 1, EDITS["a letter"])
    recent.compare()


@pytest.mark.parametrize("grown", [1, 255, 300, RECENT_RECORDS, RECENT_RECORDS + 700])
def test_the_newest_records_move_on_with_each_checkpoint(kept: KeptLog, grown: int) -> None:
    recent = followed(kept)
    kept.add(grown, "z")
    recent.follow(kept.signed().checkpoint)
    recent.compare()
    edited(kept, RECORDS + grown - RECENT_RECORDS, EDITS["a letter"])
    with pytest.raises(AuditCorrupt, match=rf" {RECORDS + grown - RECENT_RECORDS} "):
        recent.compare()


def test_records_edited_right_after_their_signature_are_found(kept: KeptLog) -> None:
    recent = followed(kept)
    kept.add(3)
    signed = kept.signed().checkpoint
    edited(kept, RECORDS + 1, EDITS["a letter"])
    with pytest.raises(AuditCorrupt, match=rf" {RECORDS + 1} "):
        recent.follow(signed)


@pytest.mark.parametrize("name", ["ends", "hashes.0"])
def test_a_start_with_a_damaged_tree_blames_the_tree(kept: KeptLog, name: str) -> None:
    signed = kept.signed().checkpoint
    first = (RECORDS - RECENT_RECORDS) // 256 * 256
    edit_tree(kept, name, {"ends": first * 8 - 1, "hashes.0": first * 32}[name])
    with pytest.raises(VerificationFailed):
        Recent(kept.store, kept.tree).follow(signed)


def test_a_short_log_is_followed_from_its_first_record(tmp_path: Path) -> None:
    kept = KeptLog(tmp_path)
    recent = followed(kept)
    edited(kept, 0, lambda line: line.replace(b"log.opened", b"log.openes"))
    with pytest.raises(AuditCorrupt, match=" 0 "):
        recent.compare()
