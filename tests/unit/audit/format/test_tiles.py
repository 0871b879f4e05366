"""Tiles (C2SP tlog-tiles): their addresses, their growth, and that they hold the same tree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.format.merkle import (
    Node,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_at,
    root_of,
)
from app.audit.format.merkle_checks import verify_consistency, verify_inclusion
from app.audit.format.tiles import ENTRIES, Tile, bundle, grow, reader_of
from app.errors import VerificationFailed

from ....support.examples import examples
from ....support.tables import for_each
from ....support.tiles import entries_of, new_tiles

LEAVES = [leaf_hash(b"%d" % number) for number in range(70_000)]
PATHS = {
    Tile(0, 0): "0/000",
    Tile(0, 0, 1): "0/000.p/1",
    Tile(1, 999, 255): "1/999.p/255",
    Tile(2, 1000): "2/x001/000",
    Tile(0, 1_234_067): "0/x001/x234/067",
    Tile(0, 1_234_067, 8): "0/x001/x234/067.p/8",
    Tile(ENTRIES, 5): "entries/005",
    Tile(ENTRIES, 1_000_000, 17): "entries/x001/x000/000.p/17",
}


def stored(*sizes: int) -> dict[Tile, bytes]:
    """The tiles of a log that grew through these sizes."""
    tiles: dict[Tile, bytes] = {}
    old = 0
    for size in sizes:
        tiles.update(list(grow(old, LEAVES[old:size], tiles.__getitem__)))
        old = size
    return tiles


ROWS = [
    b"".join(LEAVES),
    b"".join(root_of(LEAVES[at : at + 256]) for at in range(0, 70_000 - 255, 256)),
    root_of(LEAVES[:65_536]),
]


def tiles_of(size: int) -> Callable[[Tile], bytes]:
    """Fetches the tiles of a log of *size*, and refuses those that it has not."""
    there = set(new_tiles(0, size))

    def fetch(tile: Tile) -> bytes:
        assert tile in there, f"{tile} is not a tile of a log of {size}"
        return ROWS[tile.level][tile.index * 8192 :][: tile.width * 32]

    return fetch


@pytest.mark.parametrize(("tile", "path"), PATHS.items(), ids=PATHS.values())
def test_an_address_is_written_and_read_as_the_specification_has_it(tile: Tile, path: str) -> None:
    assert tile.path() == path
    assert Tile.parse(path) == tile


@given(st.integers(-1, 3), st.integers(0, 2**31 - 1), st.integers(1, 256))
def test_every_address_is_read_as_it_was_written(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path()) == tile


@for_each(
    "path",
    [
        *("", "0", "0/", "/0/000", "0/000/", "0/0", "0/00", "0/0000", "00/000", "01/000", "64/000", "-1/000", "data/000"),
        *("0/x000/001", "0/001/002", "0/x001/x002", "0/X001/002", "0/x1/002", "0/000.p/", "0/000.p/0", "0/000.p/01"),
        *("0/000.p/256", "0/000.p/999", "0/000.p/-1", "0/000p/1", "0/000.p/1/", "0/../000", "0/%30%30%30", "0/000\n", "0/٠٠٠"),
        *("8/000", "63/000", "7/128", "0/" + "x999/" * 7 + "999", "entries/x000/000", "Entries/000"),
    ],
)
def test_any_other_spelling_is_refused(path: str) -> None:
    with pytest.raises(VerificationFailed):
        Tile.parse(path)


@pytest.mark.parametrize("address", [(-2, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257), (64, 0, 1), (8, 0, 1), (0, 2**63, 1)])
def test_a_tile_that_no_log_has_cannot_be_made(address: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError):
        Tile(*address)


def test_a_log_of_70000_has_the_tiles_that_the_specification_counts() -> None:
    tiles = new_tiles(0, 70_000)
    full = [tile.level for tile in tiles if tile.width == 256]
    assert (full.count(0), full.count(1), len(full)) == (273, 1, 274)
    assert [tile for tile in tiles if tile.width < 256] == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert new_tiles(0, 256) == [Tile(0, 0), Tile(1, 0, 1)]
    assert new_tiles(69_999, 70_000) == [Tile(0, 273, 112)]
    assert new_tiles(70_000, 70_000) == []
    assert new_tiles(255, 257, entries=True) == [Tile(ENTRIES, 0), Tile(ENTRIES, 1, 1), *new_tiles(255, 257)]


@examples(25)
@given(st.lists(st.integers(0, 3000), min_size=1, max_size=4).map(sorted))
def test_growth_makes_exactly_the_new_tiles_whatever_its_steps(sizes: list[int]) -> None:
    tiles: dict[Tile, bytes] = {}
    for old, size in zip([0, *sizes], sizes, strict=False):
        made = dict(grow(old, LEAVES[old:size], tiles.__getitem__))
        assert list(made) == new_tiles(old, size)
        assert all(tile.size <= size for tile in made)
        tiles.update(made)
    at_once = stored(sizes[-1])
    assert at_once.items() <= tiles.items()
    assert {tile for tile in tiles if tile.width == 256} <= set(at_once)


@examples(40)
@given(st.integers(1, 70_000), st.integers(1, 70_000), st.data())
def test_proofs_made_from_tiles_verify(one: int, other: int, data: st.DataObject) -> None:
    old, new = sorted((one, other))
    index = data.draw(st.integers(0, old - 1))
    read = reader_of(new, tiles_of(new))
    roots = root_of(LEAVES[:old]), root_of(LEAVES[:new])
    assert (root_at(old, read), root_at(new, read)) == roots
    verify_inclusion(index, new, LEAVES[index], inclusion_proof(index, new, read), roots[1])
    verify_inclusion(index, old, LEAVES[index], inclusion_proof(index, old, read), roots[0])
    verify_consistency(old, new, *roots, consistency_proof(old, new, read))


def test_nodes_read_one_by_one_are_those_that_growth_made() -> None:
    tiles = stored(700, 66_000)
    read = reader_of(66_000, tiles.__getitem__)
    for tile in new_tiles(0, 66_000):
        nodes = [Node(8 * tile.level, tile.index * 256 + at) for at in range(tile.width)]
        assert b"".join(read(nodes)) == tiles[tile]


def test_a_changed_hash_in_a_tile_makes_no_proof_that_verifies() -> None:
    tiles = stored(1000)
    root = root_of(LEAVES[:1000])
    for changed in (Tile(0, 0), Tile(0, 3, 232), Tile(1, 0, 3)):
        bad = {**tiles, changed: tiles[changed][:40] + bytes([tiles[changed][40] ^ 1]) + tiles[changed][41:]}
        read = reader_of(1000, bad.__getitem__)
        index = changed.index * 256 if changed.level == 0 else 0  # the sibling of what was changed
        with pytest.raises(VerificationFailed):
            verify_inclusion(index, 1000, LEAVES[index], inclusion_proof(index, 1000, read), root)


def test_a_tile_of_a_wrong_length_is_refused() -> None:
    tiles = stored(300)
    for data in (tiles[Tile(0, 1, 44)][:-1], tiles[Tile(0, 1, 44)] + b"\0", b""):
        with pytest.raises(VerificationFailed):
            inclusion_proof(299, 300, reader_of(300, {**tiles, Tile(0, 1, 44): data}.__getitem__))
        with pytest.raises(VerificationFailed):
            list(grow(300, LEAVES[300:301], lambda tile, data=data: data))  # type: ignore[misc]


def test_nodes_that_are_not_whole_are_not_read() -> None:
    read = reader_of(300, stored(300).__getitem__)
    for node in (Node(0, 300), Node(8, 1), Node(9, 0), Node(-1, 0), Node(0, -1)):
        with pytest.raises(ValueError, match="whole subtree"):
            read([node])


def test_an_entry_bundle_has_these_exact_bytes() -> None:
    entries = [b"", b"a", b"b" * 300]
    assert bundle(entries) == b"\0\0" + b"\0\1a" + b"\1\x2c" + b"b" * 300
    assert entries_of(bundle(entries)) == entries
    with pytest.raises(ValueError, match="65535"):
        bundle([b"x" * 65_536])
