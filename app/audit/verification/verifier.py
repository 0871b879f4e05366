"""One pass over the log: its bytes and links, the tree against every head that is known, the receipts; and what of it holds.

Pure: lines, heads and hashes come in, verdicts go out. `app/admin/verify_log.py` opens the files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from ...errors import VerificationFailed
from ..format.chain import MAX_PROBLEMS, Checker
from ..format.merkle import EMPTY_ROOT, HASH_BYTES, RightEdge, leaf_hashes
from ..format.note import Checkpoint, VerifierKey, parse_checkpoint, parse_note, verify_checkpoint
from ..format.record import Receipt
from ..format.tiles import WIDTH, Tile
from .report import Finding, Report, Verdict

BATCH_LINES = 16 * WIDTH
"""Lines that are checked, hashed and counted together; whole tiles of them."""


@dataclass(frozen=True, slots=True)
class KnownHead:
    """A head that the log must have. *given*: somebody kept it elsewhere; else it stood beside the log."""

    name: str
    checkpoint: Checkpoint
    given: bool
    signed: bool
    """Whether its signature was verified under the key that is trusted."""

    @property
    def size(self) -> int:
        return self.checkpoint.size


def read_head(name: str, note: bytes, key: VerifierKey | None, *, given: bool) -> KnownHead:
    """The head of a checkpoint; who signed it is checked if there is a *key*. Raises VerificationFailed."""
    if key is not None:
        return KnownHead(name, verify_checkpoint(note, key), given, signed=True)
    checkpoint = parse_checkpoint(parse_note(note).text)
    if len(checkpoint.root) != HASH_BYTES or not all(checkpoint.extensions):
        raise VerificationFailed("The root of the checkpoint has not 32 bytes, or a line of it is empty.")
    return KnownHead(name, checkpoint, given, signed=False)


@dataclass(frozen=True, slots=True)
class ExpectedEvidence:
    """What the log is held against."""

    receipts: Sequence[Receipt] = ()
    heads: Sequence[KnownHead] = ()
    refused: Sequence[str] = ()
    """Checkpoints that prove nothing, each with its reason."""


Blame = Callable[[Sequence[KnownHead]], Mapping[KnownHead, int]]
"""The first record that is not what was signed, of heads that do not hold; a head is left out where it cannot be told."""


@dataclass
class Verification:
    """Feed it the lines of the log, then ask for the report."""

    held: ExpectedEvidence = field(default_factory=ExpectedEvidence)

    def __post_init__(self) -> None:
        self._checker = Checker(self.held.receipts)
        self._edge = RightEdge()
        self._fails = {head for head in self.held.heads if head.size}  # until they are seen to hold
        self._stops = sorted({head.size for head in self._fails}, reverse=True)
        self._tree_ends = max(self._stops, default=0)
        self._fails |= {head for head in self.held.heads if head.size == 0 and head.checkpoint.root != EMPTY_ROOT}

    @property
    def entries(self) -> int:
        """Lines up to here."""
        return self._checker.verdict.entries

    def feed(self, lines: list[bytes]) -> None:
        while self._stops and self._stops[-1] - self.entries <= len(lines):
            upto = self._stops.pop() - self.entries
            self._take(lines[:upto])
            lines = lines[upto:]
            root = self._edge.root()
            self._fails -= {head for head in self._fails if (head.size, head.checkpoint.root) == (self.entries, root)}
        self._take(lines)

    def _take(self, lines: list[bytes]) -> None:
        self._checker.feed(lines)
        if self._edge.size < self._tree_ends:  # past the largest head there is nothing to compare it with
            self._edge.extend(leaf_hashes(lines))

    # --- the verdicts ----------------------------------------------------------------------------

    def finish(self, blame: Blame = lambda heads: {}, others: Sequence[Finding] = ()) -> Report:
        """The report, once all lines were fed. *others*: what was found beside the log, as in its long texts."""
        verdict = self._checker.finish()
        fails = [head for head in self.held.heads if head in self._fails]
        blamed = blame(fails) if fails else {}
        more = [self._trouble(head, blamed.get(head)) for head in fails]
        more += [Finding(None, reason) for reason in self.held.refused]
        more += others
        up_to = verdict.head.seq if verdict.head else None
        if verdict.broken_at is not None:
            up_to = verdict.broken_at - 1 if verdict.broken_at else None
        sound = verdict.broken_at is None
        return Report(
            entries=self.entries,
            head=verdict.head,
            problems=([Finding(one.seq, one.problem) for one in verdict.problems] + more)[:MAX_PROBLEMS],
            found=verdict.found + len(more),
            integrity=Verdict("ok" if sound else "failed", up_to),
            signatures=self._signatures(),
            completeness=self._completeness(verdict.missing, -1 if up_to is None else up_to),
            ends=Verdict("ok" if sound else "not_checked", up_to),
            open=sorted(verdict.open),
            recovered=sorted(verdict.recovered),
        )

    def _trouble(self, head: KnownHead, blamed: int | None) -> Finding:
        size, name = head.size, head.name
        if size > self.entries:
            text = f"the log has {self.entries} records, {name} was made over {size}: the end was cut off"
        else:
            text = f"the first {size} records are not those of {name}: they were rewritten"
        if blamed is not None and size <= self.entries:
            text += f", record {blamed} first of all"
        return Finding(max(size - 1, 0) if blamed is None else blamed, text)

    def _signatures(self) -> Verdict:
        signed = [head for head in self.held.heads if head.signed]
        up_to = _last(head.size - 1 for head in signed if head not in self._fails)
        if self.held.refused or any(not head.given and head in self._fails for head in signed):
            return Verdict("failed", up_to)
        return Verdict("ok", up_to) if signed else Verdict("not_checked", None)

    def _completeness(self, missing: Sequence[Receipt], sound_to: int) -> Verdict:
        given = [head for head in self.held.heads if head.given]
        if not given and not self.held.receipts:
            return Verdict("not_checked", None)
        shown = [head.size - 1 for head in given if head not in self._fails]
        shown += [one.seq for one in self.held.receipts if one not in missing and one.seq <= sound_to]
        failed = bool(missing) or any(head in self._fails for head in given)
        return Verdict("failed" if failed else "ok", _last(shown))


def _last(numbers: Iterable[int]) -> int | None:
    return max((number for number in numbers if number >= 0), default=None)


def in_batches(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    lines = iter(lines)
    while batch := list(islice(lines, BATCH_LINES)):
        yield batch


# --- which record is not what was signed -----------------------------------------------------------


def first_differences(lines: Iterable[bytes], heads: Iterable[KnownHead], fetch: Callable[[Tile], bytes]) -> dict[KnownHead, int]:
    """For each head that the stored leaf hashes give (*fetch* reads their tiles): the first line that has not its leaf hash.

    A head is left out where the stored hashes are not what was signed either: then they say nothing. *lines* is the whole log.
    """
    stops = sorted(heads, key=lambda head: head.size)
    found: dict[KnownHead, int] = {}
    first: int | None = None
    stored = RightEdge()
    batches = in_batches(lines)
    while stops:
        leaves = leaf_hashes(next(batches, ()))
        wanted = min(BATCH_LINES, stops[-1].size - stored.size)
        try:
            kept = _stored_leaves(stored.size, wanted, fetch)
        except VerificationFailed:  # fewer were stored
            return found
        if first is None:
            differing = (at for at, leaf in enumerate(kept) if at >= len(leaves) or leaf != leaves[at])
            first = next((stored.size + at for at in differing), None)
        while stops and stops[0].size <= stored.size + len(kept):
            head = stops.pop(0)
            upto = head.size - stored.size
            stored.extend(kept[:upto])
            kept = kept[upto:]
            if stored.root() == head.checkpoint.root and first is not None and first < head.size:
                found[head] = first
        stored.extend(kept)
    return found


def _stored_leaves(start: int, count: int, fetch: Callable[[Tile], bytes]) -> list[bytes]:
    """*start* is where a tile begins."""
    data = b"".join(fetch(Tile(0, (start + at) // WIDTH, min(WIDTH, count - at))) for at in range(0, count, WIDTH))
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
