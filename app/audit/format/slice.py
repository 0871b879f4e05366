"""The proof of a slice: what the records before a part of the log come to, and a signed checkpoint.

With it, the part alone gives the checkpoint's root (docs/explanation/evidence.md).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import NoReturn

from ...errors import VerificationFailed
from ...kit.base64 import decode_base64
from .merkle import HASH_BYTES, RightEdge
from .note import MAX_NOTE_BYTES
from .record import GENESIS_HASH

HEADER = "secure-ai-assistant/slice@v1"
MAX_SLICE_BYTES = MAX_NOTE_BYTES + 8192
WITHHELD = re.compile(rb"[0-9a-f]{64}\n")
"""Stands in a slice for a record that is not shown: the hash of its leaf."""
_FIRST = re.compile(r"first (0|[1-9][0-9]{0,15})")
_PREV_HASH = re.compile(r"prev_hash ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class SliceProof:
    """*first*: the number of the slice's first record. *prev_hash*: of the record before it.

    *peaks*: the hashes of the whole subtrees over all records before, from left to right.
    """

    first: int
    prev_hash: str
    peaks: tuple[bytes, ...]
    checkpoint: bytes

    def encode(self) -> bytes:
        lines = [HEADER, f"first {self.first}", f"prev_hash {self.prev_hash}"]
        lines += [base64.b64encode(one).decode() for one in self.peaks]
        return "".join(f"{line}\n" for line in (*lines, "")).encode() + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> SliceProof:
        """Accepts exactly what `encode` gives; nothing is verified. Raises VerificationFailed."""
        head, blank, checkpoint = data.partition(b"\n\n")
        try:
            header, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            _refuse("it is not text")
        if len(data) > MAX_SLICE_BYTES or header != HEADER or not blank or len(lines) < 2:
            _refuse(f"it is not {HEADER}, a first record, a hash, hashes, an empty line and a checkpoint")
        first, prev = _FIRST.fullmatch(lines[0]), _PREV_HASH.fullmatch(lines[1])
        if first is None or prev is None:
            _refuse("its first record or the hash before it cannot be read")
        try:
            peaks = tuple(decode_base64(line) for line in lines[2:])
        except ValueError as error:
            _refuse(f"a line is {error}")
        number = int(first[1])
        if [len(one) for one in peaks] != [HASH_BYTES] * number.bit_count() or (number == 0 and prev[1] != GENESIS_HASH):
            _refuse("it does not have the hashes of all records before its first")
        return cls(number, prev[1], peaks, checkpoint)

    def tree(self) -> RightEdge:
        """The tree over all records before the first."""
        return RightEdge.resumed(self.first, self.peaks)


def _refuse(reason: str) -> NoReturn:
    raise VerificationFailed(f"This is not the proof of a slice: {reason}.")
