"""Where an earlier verification got to, kept beside the log, so that another may go on from there.

The file is believed only as far as the log's signed head and the stored tree prove it, because who can edit the log can
edit this too. Not proven by it: that nothing was edited since in the bytes that are not read again (a full run finds that), and
the numbers of open questions and recoveries, which are as they were noted then.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...audit.evidence.stored_tree import StoredTree
from ...audit.format.merkle import RightEdge, consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion
from ...audit.format.note import Checkpoint
from ...audit.format.record import HASH_TAIL, LogEnd, Receipt
from ...audit.verification.verifier import KnownHead, Point
from ...errors import VerificationFailed

FILE = "verified.json"
MAX_FILE_BYTES = 64 << 20
LineReader = Callable[[int, int], Iterable[bytes]]
"""The log's lines between two bytes."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """A point, and the signed head that proves it: its size is the point's, or beyond."""

    note: bytes
    point: Point

    def encode(self) -> bytes:
        point = self.point
        document = {
            "v": 1,
            "checkpoint": self.note.decode(),
            "size": point.head.size,
            "seq": point.head.seq,
            "hash": point.head.hash,
            "edge": point.edge.hex(),
            "open": sorted(point.open),
            "recovered": point.recovered,
        }
        return json.dumps(document, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> Bookmark:
        """The form alone. Raises VerificationFailed."""
        try:
            document: dict[str, Any] = json.loads(data)
            head = LogEnd(int(document["size"]), int(document["seq"]), str(document["hash"]))
            numbers = [[int(number) for number in document[name]] for name in ("open", "recovered")]
            point = Point(head, bytes.fromhex(document["edge"]), frozenset(numbers[0]), tuple(numbers[1]))
            if document["v"] != 1 or head.seq < 0:
                raise ValueError("another version")
            return cls(str(document["checkpoint"]).encode(), point)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            raise VerificationFailed(f"{FILE} cannot be read.") from None


def load_bookmark(folder: Path) -> Bookmark | None:
    """What an earlier verification left, nothing of it proven. None: nothing. Raises VerificationFailed."""
    try:
        with (folder / FILE).open("rb") as file:
            return Bookmark.parse(file.read(MAX_FILE_BYTES))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise VerificationFailed(f"{FILE} cannot be read: {error.strerror}.") from error


def keep_bookmark(folder: Path, bookmark: Bookmark) -> None:
    """As a whole or not at all. A reader who may not write there goes without: it only saves time."""
    new = folder / f"{FILE}.{os.getpid()}"
    with suppress(OSError):
        try:
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(bookmark.encode())
            os.replace(new, folder / FILE)
        finally:
            new.unlink(missing_ok=True)


def verify_bookmark(
    point: Point,
    signed: Checkpoint,
    heads: Iterable[KnownHead],
    receipts: Iterable[Receipt],
    tree: StoredTree,
    lines: LineReader,
) -> None:
    """That a pass may begin at *point*, and what it would not meet any more. Raises VerificationFailed, AuditUnavailable.

    *signed* is the bookmark's head, its signature verified by the caller. (1) The tree of the point is a beginning of the
    signed one, (2) the record before the point stands there, in the log and in the signed tree, (3) heads that end before
    the point are beginnings of the signed tree, (4) receipts before it name records of the signed tree.
    """
    edge = RightEdge.load(point.edge)
    if edge.size != point.entries or edge.size > signed.size:
        raise VerificationFailed("The bookmark contradicts itself.")
    _verify_beginning(edge.size, edge.root(), signed, tree)  # (1)
    if tree.bounds(point.head.seq, point.head.seq)[1] != point.head.size:  # (2)
        raise VerificationFailed("The bookmark is not where that record ends.")
    _verify_record(Receipt(point.head.seq, point.head.hash), signed, tree, lines)
    for head in heads:  # (3)
        if head.size <= edge.size:
            _verify_beginning(head.size, head.checkpoint.root, signed, tree)
    for receipt in receipts:  # (4)
        if receipt.seq < edge.size:
            _verify_record(receipt, signed, tree, lines)


def _verify_beginning(size: int, root: bytes, signed: Checkpoint, tree: StoredTree) -> None:
    proof = consistency_proof(size, signed.size, tree.reader(signed.size)) if size < signed.size else []
    verify_consistency(size, signed.size, root, signed.root, proof)


def _verify_record(receipt: Receipt, signed: Checkpoint, tree: StoredTree, lines: LineReader) -> None:
    start, end = tree.bounds(receipt.seq, receipt.seq)
    line = b"".join(lines(start, end)).removesuffix(b"\n")
    proof = inclusion_proof(receipt.seq, signed.size, tree.reader(signed.size))
    verify_inclusion(receipt.seq, signed.size, leaf_hash(line), proof, signed.root)
    digest = hashlib.sha256(line[:-HASH_TAIL]).hexdigest()
    if digest != receipt.hash or line[-HASH_TAIL:] != b',"hash":"%b"}' % digest.encode():
        raise VerificationFailed(f"Record {receipt.seq} of the log is not the one that is named.")
