"""Parts of a log with their proofs, after accidents and forgeries; some of their records are withheld."""

from __future__ import annotations

import random
import sys
from typing import Any

from app.audit.format.merkle import RightEdge
from app.audit.format.record import GENESIS_HASH
from app.audit.format.slice import SliceProof

from .mutated_logs import LOG, OTHER, loaded
from .paths import ROOT


def _slice_code() -> Any:
    """tools/verify_slice.py, which finds verify_log.py beside itself."""
    sys.path.insert(0, str(ROOT / "tools"))
    try:
        return loaded("verify_slice")
    finally:
        sys.path.pop(0)


SLICE_CODE = _slice_code()


def slice_of(first: int, size: int = 24) -> SliceProof:
    """The proof of the part of LOG that begins with record *first*."""
    edge = RightEdge()
    edge.extend(LOG.leaves[:first])
    prev_hash = LOG.receipts[first - 1].hash if first else GENESIS_HASH
    return SliceProof(first, prev_hash, tuple(edge.peaks()), LOG.checkpoint(size))


def mutated_slice(rng: random.Random) -> tuple[bytes, bytes]:
    """The records of a part, after up to two changes, and its proof."""
    first = rng.randrange(24)
    hidden = rng.choice([0.0, 0.0, 0.3, 1.0])
    lines = [_shown(seq, rng.random() < hidden) for seq in range(first, 24)]
    for _ in range(rng.choice([0, 1, 1, 2])):
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                place = rng.randrange(len(lines[at]))
                lines[at] = lines[at][:place] + bytes([lines[at][place] ^ 1 << rng.randrange(8)]) + lines[at][place + 1 :]
            case 1 if len(lines) > 1:
                del lines[at]
            case 2:
                lines.insert(at, lines[rng.randrange(len(lines))])
            case 3:
                lines[at] = OTHER.lines[first + min(at, 23 - first)] + b"\n"
            case 4:
                lines = lines[: at + 1]
            case 5:
                lines[at] = _shown(rng.randrange(24), rng.random() < 0.5)
    wrong = rng.random() < 0.1
    return b"".join(lines), slice_of(rng.randrange(24) if wrong else first, 24 if first > 9 or rng.random() < 0.8 else 9).encode()


def _shown(seq: int, is_hidden: bool) -> bytes:
    return (LOG.leaves[seq].hex().encode() if is_hidden else LOG.lines[seq]) + b"\n"
