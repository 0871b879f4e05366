"""The tree and its entries as static tiles (C2SP tlog-tiles): addresses, bytes, growth."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ...errors import VerificationFailed
from .merkle import HASH_BYTES, MAX_SIZE, HashReader, Node, node_hash

HEIGHT = 8
WIDTH = 1 << HEIGHT
ENTRIES = -1
"""The level of an entry bundle: it holds the lines themselves instead of their hashes."""
MAX_ENTRY_BYTES = 0xFFFF
ADDRESS = re.compile(r"(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """*width* hashes of tree level 8 * *level*, from number 256 * *index* on. Below 256: "partial".

    Raises ValueError for an address that no tree of up to MAX_SIZE leaves has.
    """

    level: int
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        if not (ENTRIES <= self.level <= 63 and self.index >= 0 and 1 <= self.width <= WIDTH):
            raise ValueError(f"{self.level}, {self.index}, {self.width} is not the address of a tile")
        if self.end > MAX_SIZE >> HEIGHT * self.height:
            raise ValueError(f"no log has a tile {self.index} of level {self.level}")

    @property
    def height(self) -> int:
        """The tile level of its members. Entries are on the level of their leaf hashes."""
        return max(self.level, 0)

    @property
    def end(self) -> int:
        """One more than the number of its last member, counted over its level."""
        return self.index * WIDTH + self.width

    @property
    def size(self) -> int:
        """The size of the smallest log that has this tile."""
        return self.end << HEIGHT * self.height

    def path(self) -> str:
        """`0/x001/x234/067.p/8`, `entries/000`: what follows `<prefix>/tile/`."""
        digits = f"{self.index % 1000:03d}"
        rest = self.index // 1000
        while rest:
            digits = f"x{rest % 1000:03d}/{digits}"
            rest //= 1000
        level = "entries" if self.level == ENTRIES else str(self.level)
        return f"{level}/{digits}" + (f".p/{self.width}" if self.width < WIDTH else "")

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Accepts exactly what `path` gives. Raises VerificationFailed for any other spelling."""
        match = ADDRESS.fullmatch(path)
        if match is not None and path.isascii():
            level = ENTRIES if match[1] == "entries" else int(match[1])
            try:
                tile = cls(level, int(re.sub("[x/]", "", match[2])), int(match[3] or WIDTH))
            except ValueError:
                pass
            else:
                if tile.path() == path:
                    return tile
        raise VerificationFailed("This is not the address of a tile (C2SP tlog-tiles).")


def grow(old: int, leaves: Sequence[bytes], fetch: Callable[[Tile], bytes]) -> Iterator[tuple[Tile, bytes]]:
    """The hash tiles that a log gets, and their bytes, as leaf hashes follow its *old* records.

    Of each level: the tiles that became full, and the partial one at the end.

    *fetch* gives the stored bytes of a partial tile of the log of *old* records, one a level.
    Each level is complete before the next begins. Stored in this order, no parent lacks a child.
    """
    if any(len(leaf) != HASH_BYTES for leaf in leaves):
        raise ValueError("a leaf hash has 32 bytes")
    row, level = b"".join(leaves), 0
    while row:
        index, width = divmod(old >> HEIGHT * level, WIDTH)
        if width:
            row = _of_width(fetch(Tile(level, index, width)), width) + row
        above = []
        for at in range(0, len(row), WIDTH * HASH_BYTES):
            data = row[at : at + WIDTH * HASH_BYTES]
            yield Tile(level, index, len(data) // HASH_BYTES), data
            index += 1
            if len(data) == WIDTH * HASH_BYTES:
                above.append(_root(data))
        row, level = b"".join(above), level + 1


def reader_of(size: int, fetch: Callable[[Tile], bytes]) -> HashReader:
    """Reads the nodes of the log of *size* records from its tiles, each of them once a call.

    Raises VerificationFailed for a tile of a wrong length. Tiles are not proven: check the result
    against a signed root before it is used (`verify_inclusion`, `verify_consistency`).
    """
    if not 0 <= size <= MAX_SIZE:
        raise ValueError(f"no log has {size} records")

    def read(nodes: Sequence[Node]) -> list[bytes]:
        fetched: dict[Tile, bytes] = {}
        hashes = []
        for level, number in nodes:
            if level < 0 or number < 0 or number + 1 << level > size:
                raise ValueError(f"a log of {size} records has no whole subtree {number} of level {level}")
            tile_level, rise = divmod(level, HEIGHT)
            first = number << rise
            start = first // WIDTH * WIDTH
            tile = Tile(tile_level, first // WIDTH, min(WIDTH, (size >> HEIGHT * tile_level) - start))
            if tile not in fetched:
                fetched[tile] = _of_width(fetch(tile), tile.width)
            hashes.append(_root(fetched[tile][(first - start) * HASH_BYTES : (first - start + (1 << rise)) * HASH_BYTES]))
        return hashes

    return read


def bundle(entries: Iterable[bytes]) -> bytes:
    """The entry bundle of lines without newlines: before each its length, two bytes, big-endian."""
    pieces = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise ValueError(f"an entry of a bundle has at most {MAX_ENTRY_BYTES} bytes")
        pieces += [len(entry).to_bytes(2, "big"), entry]
    return b"".join(pieces)


def hashes_of(data: bytes) -> list[bytes]:
    """The hashes of a hash tile, or of a piece of one."""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def _of_width(data: bytes, width: int) -> bytes:
    if len(data) != width * HASH_BYTES:
        raise VerificationFailed(f"A tile of {width} hashes has {width * HASH_BYTES} bytes, not {len(data)}.")
    return data


def _root(data: bytes) -> bytes:
    """The root over a power of two of hashes."""
    row = hashes_of(data)
    while len(row) > 1:
        row = [node_hash(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]
