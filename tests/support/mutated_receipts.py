"""Receipts (C2SP tlog-proof) after accidents and forgeries."""

from __future__ import annotations

import base64
import random

from app.audit.format.merkle import leaf_hash, node_hash
from app.audit.format.note import sign_checkpoint
from app.audit.format.receipt import make_receipt

from .evidence import SIGNER, too_long_line
from .mutated_logs import LOG, NOTES, OTHER, THIEF

SIZES = (9, 24)


def mutated_receipt(rng: random.Random) -> bytes:
    """A receipt after up to three changes, or one that its own log's key signed over something odd."""
    if rng.random() < 0.15:
        return odd_receipt(rng)
    size = rng.choice(SIZES)
    data = bytearray(rng.choice([LOG, LOG, LOG, OTHER]).receipt_file(rng.randrange(size), size))
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        data = bytearray(_changed(bytes(data), rng))
    return bytes(data)


def _changed(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(max(1, len(data)))
    lines = data.split(b"\n")
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(9):
        case 0:
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :] if data else data
        case 1:
            return data[:at] + data[at + rng.randint(1, 4) :]
        case 2:
            return data[:at] + rng.choice([b"\n", b"\r", b" ", b"=", b"A", b"\0", b"\xc3", "—".encode()]) + data[at:]
        case 3:
            lines[one], lines[two] = lines[two], lines[one]
        case 4:
            del lines[one]
        case 5:
            lines.insert(one, lines[two])
        case 6:
            head, _, _ = data.partition(b"\n\n")
            return head + b"\n\n" + rng.choice(list(NOTES.values()))
        case 7:
            lines[2:3] = [b"index %d" % rng.choice([0, 3, 8, 23, 24, 2**53, 2**63 - 1, 2**63, 10**19])]
        case 8:
            lines[1:2] = [b"extra " + base64.b64encode(rng.choice([*LOG.lines, *OTHER.lines, b"", b"{}"]))]
    return b"\n".join(lines)


def odd_receipt(rng: random.Random) -> bytes:
    """A right signature over a right tree of two leaves, with a line that may be no record of that number."""
    seq = rng.randrange(2)
    line = LOG.lines[seq]
    changed = [line.replace(b'"seq":%d' % seq, b'"seq":0%d' % seq), line.replace(b"ask.", b"ask"), line + b"\n", b"x" * 90]
    line = rng.choice([line, LOG.lines[5], line[:-1], too_long_line(), *changed])
    other = leaf_hash(LOG.lines[1 - seq])
    root = node_hash(leaf_hash(line), other) if seq == 0 else node_hash(other, leaf_hash(line))
    signer = rng.choice([SIGNER, SIGNER, THIEF])
    return make_receipt(seq, line, [other], sign_checkpoint(2, root, signer))
