"""The mark in the lock file: where the durable log ends, as `size seq hash` of fixed width."""

from __future__ import annotations

import re

from .entry import Head

MARK = re.compile(rb"(\d{20}) (-?\d{19,20}) ([0-9a-f]{64})\n")
MAX_MARK_BYTES = 256


def mark_of(head: Head) -> bytes:
    return f"{head.size:020d} {head.seq:020d} {head.hash}\n".encode()


def parse_mark(data: bytes) -> Head | None:
    """None for anything but exactly one mark: a lock file that was never written, or torn by a loss of power."""
    found = MARK.fullmatch(data)
    return Head(int(found[1]), int(found[2]), found[3].decode()) if found else None
