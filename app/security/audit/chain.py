"""The chain, as pure functions: link drafts to a head; check lines against each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .entry import EMPTY, HASH_TAIL, MAX_LINE_BYTES, Draft, Head, Receipt, line_of

PREFIX = re.compile(
    rb'\{"v":1,"seq":(\d{1,19}),"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","request_id":"[0-9a-f]{32}",'
    rb'"user_id":(?:null|"[A-Za-z0-9_-]{3,32}"),"action":"[a-z]+\.[a-z_]+","details":\{'
)
PREV_TAIL = HASH_TAIL + 79  # ,"prev_hash":"<64 hex>" stands right before the hash
MAX_PROBLEMS = 100


def link(drafts: Sequence[Draft], head: Head, timestamp: str) -> tuple[bytes, list[Receipt], Head]:
    """The lines that follow *head*, one receipt for each draft, and the new head."""
    size, seq, prev_hash = head.size, head.seq, head.hash
    lines: list[bytes] = []
    receipts: list[Receipt] = []
    for record in drafts:
        seq += 1
        line, prev_hash = line_of(record, seq, timestamp, prev_hash)
        size += len(line)
        lines.append(line)
        receipts.append(Receipt(seq, prev_hash))
    return b"".join(lines), receipts, Head(size, seq, prev_hash)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and at which record number a reader of an unbroken log would have met it."""

    seq: int
    problem: str


@dataclass(slots=True)
class Verdict:
    """What a check of the log found. *head* is the last record that was read."""

    entries: int = 0
    head: Receipt | None = None
    problems: list[Problem] = field(default_factory=list)
    found: int = 0
    """How many problems there are; only the first MAX_PROBLEMS are kept."""

    @property
    def ok(self) -> bool:
        return not self.found

    def add(self, seq: int, problem: str) -> None:
        self.found += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(seq, problem))


def next_head(line: bytes, head: Head) -> Head | None:
    """The head after *line* (with its newline) if it is a whole record that follows *head*, else None."""
    match = PREFIX.match(line)
    if match is None or not line.endswith(b'"}\n') or len(line) > MAX_LINE_BYTES or int(match[1]) != head.seq + 1:
        return None
    digest = hashlib.sha256(line[: -HASH_TAIL - 1]).hexdigest()
    if line[-PREV_TAIL - 1 :] != b',"prev_hash":"%b","hash":"%b"}\n' % (head.hash.encode(), digest.encode()):
        return None
    return Head(head.size + len(line), head.seq + 1, digest)


def check(lines: Iterable[bytes], receipts: Iterable[Receipt] = (), start: Head = EMPTY) -> Verdict:
    """Check stored *lines* (each with its newline) one after another, and that every receipt's record is among them.

    After a break the check goes on from what stands there, so that one edit is one problem.
    """
    verdict = Verdict()
    wanted: dict[int, set[str]] = {}
    for receipt in receipts:
        wanted.setdefault(receipt.seq, set()).add(receipt.hash)
    seq, stored_hash, computed_hash = start.seq, start.hash, start.hash
    for line in lines:
        seq += 1
        verdict.entries += 1
        match = PREFIX.match(line)
        if match is None or line[-HASH_TAIL - 1 : -67] != b',"hash":"' or line[-3:] != b'"}\n':
            verdict.add(
                seq,
                "this line is not a record: " + ("it is unfinished" if line[-1:] != b"\n" else "its form is broken"),
            )
            stored_hash = computed_hash = ""
            continue
        found, expected = int(match[1]), seq
        seq = found
        before, before_computed = stored_hash, computed_hash
        stored_hash = line[-67:-3].decode("latin-1")
        computed_hash = hashlib.sha256(line[: -HASH_TAIL - 1]).hexdigest()
        if found != expected:
            verdict.add(expected, f"record {expected} should stand here, but the line says {found}")
        elif len(line) > MAX_LINE_BYTES:
            verdict.add(seq, f"the line is longer than {MAX_LINE_BYTES} bytes")
        elif computed_hash != stored_hash:
            verdict.add(seq, "the record was changed: its bytes do not give its hash")
        elif before and line[-PREV_TAIL - 1 : -HASH_TAIL - 1] not in (_prev(before), _prev(before_computed)):
            verdict.add(seq, "the chain is broken: prev_hash is not the hash of the record before")
        if seq in wanted:
            for receipt_hash in wanted.pop(seq):
                if receipt_hash != stored_hash:
                    verdict.add(seq, "this is not the record that a receipt names: the log was rewritten")
    verdict.head = Receipt(seq, stored_hash) if verdict.entries else None
    for missing in sorted(wanted):
        verdict.add(missing, "a receipt names this record, and the log does not have it: its end was cut off")
    return verdict


def _prev(digest: str) -> bytes:
    return b',"prev_hash":"%b"' % digest.encode()


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, each with its newline, from chunks cut anywhere; an unfinished last line comes as it is."""
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            yield line + b"\n"
        if len(rest) > 64 * MAX_LINE_BYTES:  # nothing of ours: give it up as one broken line instead of growing
            yield rest
            rest = b""
    if rest:
        yield rest
