"""Which tiles a log must have (C2SP tlog-tiles), and an entry bundle read as a client reads it."""

from __future__ import annotations

from app.audit.format.tiles import ENTRIES, HEIGHT, WIDTH, Tile


def new_tiles(old: int, new: int, *, entries: bool = False) -> list[Tile]:
    """The tiles that a log gets as it grows from *old* to *new* records.

    Of each level: the tiles that became full, and the partial one at the end.
    """
    tiles: list[Tile] = []
    level = ENTRIES if entries else 0
    while (end := new >> HEIGHT * max(level, 0)) > (start := old >> HEIGHT * max(level, 0)):
        tiles.extend(Tile(level, index) for index in range(start >> HEIGHT, end >> HEIGHT))
        if end % WIDTH:
            tiles.append(Tile(level, end >> HEIGHT, end % WIDTH))
        level += 1
    return tiles


def entries_of(data: bytes) -> list[bytes]:
    """The entries of a bundle, which must end with the last of them."""
    entries = []
    while data:
        end = 2 + int.from_bytes(data[:2], "big")
        assert len(data) >= end, "the bundle ends inside an entry"
        entries.append(data[2:end])
        data = data[end:]
    return entries
