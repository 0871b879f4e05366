"""The stored tree: its exact form, and that it is rebuilt from the log where it is damaged."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.merkle import leaf_hash
from app.audit.format.receipt import verify_receipt
from app.audit.format.tiles import ENTRIES, Tile, grow
from app.errors import AuditCorrupt, EvidenceUnavailable, VerificationFailed

from ....support.evidence import SIGNER, KeptLog, rehashed
from ....support.pipes import pipe_without_writer
from ....support.tiles import new_tiles

Damage = Callable[[Path], None]


@pytest.fixture
def kept(tmp_path: Path) -> KeptLog:
    return KeptLog(tmp_path)


def test_the_stored_form_is_flat_files_of_hashes_by_level_and_of_ends(tmp_path: Path, kept: KeptLog) -> None:
    """Exact bytes: a copy of the folder can be read with `dd`."""
    heads = kept.add_signed(3, 252, 1, 300)
    folder, lines = tmp_path / "audit_log.tree", kept.lines()
    assert len(lines) == 557
    assert (folder / "hashes.0").read_bytes() == b"".join(leaf_hash(line) for line in lines)
    assert len((folder / "hashes.1").read_bytes()) == 2 * 32
    ends = [sum(len(line) + 1 for line in lines[: n + 1]) for n in range(557)]
    assert (folder / "ends").read_bytes() == b"".join(end.to_bytes(8, "big") for end in ends)
    assert (folder / "checkpoint").read_bytes() == heads[-1].note
    assert (folder / "vkey").read_text() == SIGNER.verifier_key.text() + "\n"
    assert sorted(os.listdir(folder)) == ["checkpoint", "ends", "hashes.0", "hashes.1", "lock", "vkey"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_every_tile_of_every_signed_size_is_a_piece_of_the_stored_files(kept: KeptLog) -> None:
    heads = kept.add_signed(1, 253, 1, 1, 1, 255, 200)
    leaves = [leaf_hash(line) for line in kept.lines()]
    for head in heads:
        tiles = dict(grow(0, leaves[: head.size], lambda tile: b""))
        for tile in new_tiles(0, head.size):
            assert kept.tree.fetch(tile) == tiles[tile] == kept.reader.tile(tile)


def test_a_pipe_or_a_folder_in_place_of_a_file_is_no_file(tmp_path: Path, kept: KeptLog) -> None:
    kept.add_signed(9)
    folder = tmp_path / "audit_log.tree"
    with pipe_without_writer(folder / "checkpoint"), pipe_without_writer(folder / "hashes.0"):
        assert kept.tree.checkpoint() is None
        with pytest.raises(VerificationFailed):
            kept.tree.fetch(Tile(0, 0, 9))
    (folder / "checkpoint").unlink()
    (folder / "checkpoint").mkdir()
    assert kept.tree.checkpoint() is None


def test_a_tile_that_is_not_stored_yet_and_a_bundle_are_refused(kept: KeptLog) -> None:
    kept.add_signed(9)
    for tile in (Tile(0, 0, 11), Tile(0, 1, 1), Tile(1, 0, 1), Tile(7, 0, 1)):
        with pytest.raises(VerificationFailed):
            kept.tree.fetch(tile)
    with pytest.raises(ValueError, match="bundle"):
        kept.tree.fetch(Tile(ENTRIES, 0, 1))


def test_waiting_too_long_for_the_lock_is_refused_with_a_retry_time(kept: KeptLog) -> None:
    with kept.tree.locked(0), pytest.raises(EvidenceUnavailable) as refused, StoredTree(kept.tree.folder).locked(0.05):
        pass
    assert refused.value.retry_after == 1
    with kept.tree.locked(0):
        pass


def test_a_folder_that_cannot_be_created_or_written_gives_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "audit_log.tree").write_text("a file")
    tree = StoredTree.beside(tmp_path / "audit_log.jsonl")
    for attempt in (lambda: tree.locked(0).__enter__(), lambda: tree.bounds(0, 0)):
        with pytest.raises(EvidenceUnavailable, match=r"^The log's .+\.$"):
            attempt()
    assert tree.checkpoint() is None


# --- damage ------------------------------------------------------------------------------------


def flip(name: str, at: int) -> Damage:
    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at] ^= 1
        (folder / name).write_bytes(data)

    return damage


def cut(name: str, size: int) -> Damage:
    return lambda folder: os.truncate(folder / name, size)


def lose(*names: str) -> Damage:
    def damage(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def garble(name: str) -> Damage:
    def damage(folder: Path) -> None:
        (folder / name).write_bytes(os.urandom((folder / name).stat().st_size))

    return damage


def swap_ends(folder: Path) -> None:
    """Two lines that are as long as each other: every end is the end of some line."""
    data = (folder / "ends").read_bytes()
    (folder / "ends").write_bytes(data[:-16] + data[-24:-16] + data[-16:-8])


DAMAGES = {
    "leaf of the right edge": flip("hashes.0", -1),
    "last leaf of a full tile": flip("hashes.0", 512 * 32 - 1),
    "first leaf": flip("hashes.0", 0),
    "node above": flip("hashes.1", 40),
    "an end too large by far": flip("ends", -8),
    "an end off by one": flip("ends", -1),
    "the end before it": flip("ends", -9),
    "ends shifted by one line": swap_ends,
    "cut leaves": cut("hashes.0", 100),
    "cut ends": cut("ends", 100),
    "lost leaves": lose("hashes.0"),
    "lost nodes": lose("hashes.1"),
    "lost ends": lose("ends"),
    "lost all but the head": lose("hashes.0", "hashes.1", "ends", "vkey", "lock"),
    "garbled leaves": garble("hashes.0"),
    "garbled ends": garble("ends"),
}


@pytest.mark.parametrize("size", [512, 600])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_tree_is_rebuilt_and_nothing_false_is_signed_or_shown(
    tmp_path: Path, kept: KeptLog, damage: Damage, size: int
) -> None:
    """By the reader that meets the damage, or at the next start. The log itself is not blamed."""
    notes = [head.note for head in kept.add_signed(200, size - 201)]
    damage(tmp_path / "audit_log.tree")
    other = KeptLog(tmp_path)  # a process that has verified nothing yet
    other.checkpoint_signer.verify_start()
    read_until_sound(other, size)
    notes += [head.note for head in other.add_signed(3, 1)]
    kept.check_checkpoints(notes)
    read_until_sound(other, size)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_running_signer_never_signs_over_damage(tmp_path: Path, kept: KeptLog, damage: Damage) -> None:
    """The damage comes between two publications. It may go unnoticed where the next does not need it."""
    notes = [head.note for head in kept.add_signed(200, 311)]
    damage(tmp_path / "audit_log.tree")
    kept.add(2)
    for _ in range(3):
        try:
            notes.append(kept.signed().note)
        except EvidenceUnavailable:
            continue
    read_until_sound(kept, 514)
    kept.check_checkpoints(notes)
    assert len(notes) > 2


def read_until_sound(kept: KeptLog, size: int) -> None:
    """Read all of the log in every way, and publish where damage is met. Nothing false may be shown."""
    lines = kept.lines()
    for _ in range(6):
        try:
            assert [line for at in range(0, size, 500) for line in kept.reader.page(at, min(500, size - at)).lines] == [
                line + b"\n" for line in lines[:size]
            ]
            for seq in (0, 255, 256, 511, size - 1):
                assert verify_receipt(kept.reader.receipt(seq), SIGNER.verifier_key).line == lines[seq]
            for tile in new_tiles(0, size):
                if tile.level == 0:
                    expected = b"".join(leaf_hash(line) for line in lines[tile.index * 256 : tile.end])
                    assert kept.reader.tile(tile) == expected
                else:
                    kept.reader.tile(tile)
            return
        except EvidenceUnavailable:
            kept.checkpoint_signer.publish_next()
    raise AssertionError("the tree was not rebuilt")


@pytest.mark.parametrize(
    ("name", "at", "tile"), [("hashes.0", 0, Tile(0, 0)), ("hashes.0", -1, Tile(0, 2, 88)), ("hashes.1", 9, Tile(1, 0, 2))]
)
def test_a_damaged_tile_is_not_served_and_the_others_are(tmp_path: Path, kept: KeptLog, name: str, at: int, tile: Tile) -> None:
    """A caller may keep a wrong one for ever."""
    kept.add_signed(599)
    was = kept.reader.tile(tile)
    flip(name, at)(tmp_path / "audit_log.tree")
    with pytest.raises(EvidenceUnavailable):
        kept.reader.tile(tile)
    assert kept.tree.is_damaged()
    kept.signed()
    assert kept.reader.tile(tile) == was


def test_the_tree_of_a_rewritten_log_is_kept_because_it_shows_where(tmp_path: Path, kept: KeptLog) -> None:
    kept.add_signed(600)
    was = (tmp_path / "audit_log.tree/hashes.0").read_bytes()
    kept.path.write_bytes(rehashed(kept.lines(), lambda line: line.replace(b'"query":"300"', b'"query":"399"'), 301))
    kept.store.lock_path.write_bytes(b"")
    reader = KeptLog(tmp_path).reader
    assert reader.entry(300)
    with pytest.raises(AuditCorrupt, match="Record 301"):
        reader.entry(301)
    (tmp_path / "audit_log.tree/hashes.1").unlink()
    other = KeptLog(tmp_path)
    other.add()
    with pytest.raises(AuditCorrupt, match="The first 601 records"):
        other.checkpoint_signer.publish_next()
    assert (tmp_path / "audit_log.tree/hashes.0").read_bytes() == was
