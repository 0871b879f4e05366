"""Whether a part of the log is what was signed: its bytes, its links, and the root it leads to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from ...errors import VerificationFailed
from ..format.merkle import RightEdge, leaf_hash
from ..format.note import Checkpoint, VerifierKey, parse_checkpoint, parse_note, verify_checkpoint
from ..format.record import LogEnd, Receipt
from ..format.slice import WITHHELD, SliceProof
from .chain_check import ChainChecker
from .report import MAX_FINDINGS, Finding
from .tree_check import BATCH_LINES


@dataclass(frozen=True, slots=True)
class SliceReport:
    first: int
    entries: int
    withheld: int
    """Records of which only the leaf's hash is there."""
    last_record: Receipt | None
    """The last record that is whole."""
    findings: list[Finding]
    """The first MAX_FINDINGS."""
    checkpoint: Checkpoint
    signed: bool
    """The checkpoint's signature was verified with a key."""

    @property
    def ok(self) -> bool:
        return not self.findings


def verify_slice(lines: Iterable[bytes], proof: SliceProof, key: VerifierKey | None) -> SliceReport:
    """Check stored *lines*, or hashes in their place, each with its newline.

    Raises VerificationFailed for a checkpoint that *key* did not sign, or that is none.
    """
    checkpoint = parse_checkpoint(parse_note(proof.checkpoint).text) if key is None else verify_checkpoint(proof.checkpoint, key)
    if checkpoint.size < proof.first:
        raise VerificationFailed("The checkpoint of this slice covers none of its records.")
    tree, chain, withheld = proof.tree(), _Chain(proof), 0
    reached = tree.root() if tree.size == checkpoint.size else None
    lines = iter(lines)
    while batch := list(islice(lines, BATCH_LINES)):
        for is_withheld, group in groupby(batch, key=_is_withheld):
            run = list(group)
            chain.skip(len(run)) if is_withheld else chain.feed(run)
            withheld += len(run) if is_withheld else 0
            reached = _grow(tree, [_leaf_of(line, is_withheld) for line in run], checkpoint.size) or reached
    chain.end()
    findings = [*chain.findings, *_end_findings(reached, tree.size, checkpoint)][:MAX_FINDINGS]
    return SliceReport(proof.first, tree.size - proof.first, withheld, chain.last, findings, checkpoint, key is not None)


class _Chain:
    """The links of runs of whole records; after one that is withheld, any may follow."""

    def __init__(self, proof: SliceProof) -> None:
        self.findings: list[Finding] = []
        self.last: Receipt | None = None
        self._checker: ChainChecker | None = ChainChecker(start=LogEnd(0, proof.first - 1, proof.prev_hash))
        self._seq = proof.first - 1

    def feed(self, run: Sequence[bytes]) -> None:
        if self._checker is None:
            self._checker = ChainChecker(start=LogEnd(0, self._seq, ""))
        self._checker.feed(run)

    def skip(self, count: int) -> None:
        self.end()
        self._seq += count

    def end(self) -> None:
        if self._checker is None:
            return
        report, self._checker = self._checker.report(), None
        if report.entries:
            self.findings += report.findings
            self.last, self._seq = report.last_record or self.last, report.last_seq


def _is_withheld(line: bytes) -> bool:
    return WITHHELD.fullmatch(line) is not None


def _leaf_of(line: bytes, is_withheld: bool) -> bytes:
    return bytes.fromhex(line.decode()) if is_withheld else leaf_hash(line.removesuffix(b"\n"))


def _grow(tree: RightEdge, leaves: Sequence[bytes], size: int) -> bytes | None:
    """Add *leaves*; the root at *size*, if it is reached on the way."""
    to_size = size - tree.size
    if not 0 < to_size <= len(leaves):
        tree.extend(leaves)
        return None
    tree.extend(leaves[:to_size])
    root = tree.root()
    tree.extend(leaves[to_size:])
    return root


def _end_findings(reached: bytes | None, end: int, checkpoint: Checkpoint) -> list[Finding]:
    if reached == checkpoint.root:
        return []
    size = checkpoint.size
    if size > end:
        problem = f"the part ends before record {end}, and its checkpoint covers {size}: the end was cut off"
    else:
        problem = f"the first {size} records are not those that the checkpoint covers: they were rewritten"
    return [Finding(max(size - 1, 0), problem)]
