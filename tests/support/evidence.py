"""A sound log with its tree, tiles, checkpoints and receipts, for tests to use and to break."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.audit.evidence.published import SignedCheckpoint
from app.audit.evidence.reader import EvidenceReader
from app.audit.evidence.signer import CheckpointSigner
from app.audit.evidence.stored_tree import StoredTree
from app.audit.format.chain import link
from app.audit.format.merkle import HashReader, RightEdge, inclusion_proof, leaf_hash, root_of
from app.audit.format.note import Signer, sign_checkpoint, verify_checkpoint
from app.audit.format.receipt import make_receipt
from app.audit.format.record import (
    EMPTY,
    GENESIS_HASH,
    HASH_TAIL,
    MAX_LINE_BYTES,
    PREV_TAIL,
    Receipt,
    draft,
    hash_of,
    line_ending,
    line_of,
)
from app.audit.format.tiles import ENTRIES, Tile, bundle, grow, reader_of
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.verification.expected import ExpectedCheckpoint, read_checkpoint

from .stores import open_store
from .tiles import new_tiles

SIGNER = Signer("secure-ai-assistant/01234567", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
OTHER_SIGNER = Signer("another/log", Ed25519PrivateKey.from_private_bytes(b"o" * 32))
STAMP = "2026-11-23T09:15:02.123456Z"


class KeptLog:
    """A log in *folder* with its tree, as one process sees them. Created if it does not exist."""

    def __init__(self, folder: Path, signer: Signer = SIGNER) -> None:
        self.path = folder / "audit_log.jsonl"
        self.store, self.tree = open_store(self.path), StoredTree.beside(self.path)
        self.checkpoint_signer = CheckpointSigner(self.store, self.tree, signer)
        self.reader = EvidenceReader(self.store, self.tree, self.checkpoint_signer)
        self.log = AuditLog(self.store)
        if self.log.is_empty():
            self.log.create({"origin": signer.name, "vkey": signer.verifier_key.text()})

    def add(self, count: int = 1, text: str = "") -> None:
        append(self.store.append, [draft("ask.received", "alice", {"query": f"{text}{n}"}) for n in range(count)])

    def add_signed(self, *counts: int) -> list[SignedCheckpoint]:
        """For each of *counts*, add that many records and sign a checkpoint."""
        signed = []
        for count in counts:
            self.add(count)
            signed.append(self.signed())
        return signed

    def signed(self) -> SignedCheckpoint:
        """Publish the next checkpoint and return it."""
        signed = self.checkpoint_signer.publish_next()
        assert signed is not None
        return signed

    def lines(self) -> list[bytes]:
        """Without their newlines."""
        return self.path.read_bytes().split(b"\n")[:-1]

    def check_checkpoints(self, notes: Iterable[bytes]) -> None:
        """All of *notes*, in the order in which they were served, are of this log, and it never shrinks."""
        leaves = [leaf_hash(line) for line in self.lines()]
        checkpoints = [verify_checkpoint(note, SIGNER.verifier_key) for note in notes]
        assert [one.size for one in checkpoints] == sorted(one.size for one in checkpoints)
        for one in checkpoints:
            assert one.root == root_of(leaves[: one.size]), one.size


def published_in(folder: Path) -> list[bytes]:
    """The published checkpoint of the log in *folder*; empty if there is none."""
    path = folder / "audit_log.tree/checkpoint"
    return [path.read_bytes()] if path.exists() else []


class Evidence:
    """A log of *length* records that grew by the steps *sizes*."""

    def __init__(self, length: int, sizes: tuple[int, ...] = (), text: str = "") -> None:
        first = draft("log.opened", None, {}, f"{1:032x}")
        drafts = [draft("ask.received", "alice", {"query": f"{text}{n}"}, f"{n + 1:032x}") for n in range(1, length)]
        self.data, self.receipts, _ = link([first, *drafts], EMPTY, STAMP)
        self.lines = self.data.split(b"\n")[:-1]
        self.leaves = [leaf_hash(line) for line in self.lines]
        self.tiles: dict[Tile, bytes] = {}
        self.roots = {0: RightEdge().root()}
        edge = RightEdge()
        for size in (*sizes, length):
            self.tiles.update(list(grow(edge.size, self.leaves[edge.size : size], self.tiles.__getitem__)))
            edge.extend(self.leaves[edge.size : size])
            self.roots[size] = edge.root()

    def read(self, size: int) -> HashReader:
        return reader_of(size, self.tiles.__getitem__)

    def checkpoint(self, size: int) -> bytes:
        return sign_checkpoint(size, self.roots[size], SIGNER)

    def receipt_file(self, seq: int, size: int) -> bytes:
        return make_receipt(seq, self.lines[seq], inclusion_proof(seq, size, self.read(size)), self.checkpoint(size))

    def expected(self, size: int, *, given: bool = True, signer: Signer = SIGNER) -> ExpectedCheckpoint:
        """A checkpoint of this log, as a verification expects it."""
        note = sign_checkpoint(size, self.roots[size], signer)
        return read_checkpoint(f"checkpoint {size}", note, signer.verifier_key, given=given)

    def fetch_leaves(self, tile: Tile) -> bytes:
        """The stored leaf hashes, as a verification reads them."""
        assert tile.level == 0
        return b"".join(self.leaves[tile.index * 256 : tile.index * 256 + tile.width])

    def write_tiles(self, folder: Path) -> None:
        for tile, data in self.tiles.items():
            _write(folder / tile.path(), data)
        for tile in new_tiles(0, len(self.lines), entries=True):
            if tile.level == ENTRIES:
                _write(folder / tile.path(), bundle(self.lines[tile.index * 256 : tile.end]))


def rehashed(lines: list[bytes], change: Callable[[bytes], bytes], at: int) -> bytes:
    """The log with line *at* changed by *change* and all following hashes recomputed."""
    out, prev = lines[:at], hash_of(lines[at - 1]) if at else GENESIS_HASH
    bodies = [line[:-PREV_TAIL] for line in lines[at:]]
    for start in [change(bodies[0]), *bodies[1:]]:
        body = b'%b,"prev_hash":"%b"' % (start, (prev or "").encode())
        prev = hashlib.sha256(body).hexdigest()
        out.append(body + line_ending(prev).rstrip())
    return b"".join(line + b"\n" for line in out)


def too_long_line() -> bytes:
    """The first line of a log, longer than a record may be and otherwise correct."""
    short, _ = line_of(draft("ask.received", "alice", {}), 0, STAMP, GENESIS_HASH)
    body = short[: -HASH_TAIL - 1].replace(b'"details":{}', b'"details":{"x":"%b"}' % (b"x" * MAX_LINE_BYTES))
    return body + line_ending(hashlib.sha256(body).hexdigest())


def receipt_text(receipt: Receipt) -> str:
    return f"{receipt.seq}:{receipt.hash}"


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
