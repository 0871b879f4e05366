"""The chain, as pure functions: link drafts to a head; check lines against each other."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .entry import EMPTY, HASH_TAIL, MAX_LINE_BYTES, Draft, Head, Receipt, line_of

PREFIX = re.compile(
    rb'\{"v":1,"seq":(\d{1,19}),"timestamp":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z","request_id":"[0-9a-f]{32}",'
    rb'"user_id":(?:null|"[A-Za-z0-9_-]{3,32}"),"action":"([a-z]+\.[a-z_]+)","details":\{(?:"received":(\d{1,19}),)?'
)
PREV_TAIL = HASH_TAIL + 79  # ,"prev_hash":"<64 hex>" stands right before the hash
MAX_PROBLEMS = 100
MAX_GUESSES = 16
"""How many earlier ends a line may follow after a run of breaks, so that a file of garbage is read in linear time."""
RECEIPT_PROBLEMS = {  # a record of that number was met; the number is past the end
    (True, False): "this is not the record that a receipt names: the log was rewritten",
    (True, True): "this is not the record that a receipt names: the log was rewritten",
    (False, True): "a receipt names this record, and the log does not have it: its end was cut off",
    (False, False): "a receipt names this record, and the log does not have it",
}


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
    open: set[int] = field(default_factory=set)
    """Questions that were received and never ended: what a crash leaves."""
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

    After a break the check goes on as if that line had been put in, or stood in another's place, or followed lines that
    were taken out, whichever the next line bears out: so one edit is one problem, at the place where it was made.
    """
    verdict = Verdict()
    wanted: dict[int, set[str]] = {}
    for receipt in receipts:
        wanted.setdefault(receipt.seq, set()).add(receipt.hash)
    met: set[int] = set()
    seq, stored_hash, computed_hash = start.seq, start.hash, start.hash  # what a line should follow; "": any hash
    others: list[tuple[int, str, str]] = []  # what it may follow besides, after a break
    whole = True
    for line in lines:
        if not whole:  # the rest of a line that split_lines gave up on
            whole = line[-1:] == b"\n"
            continue
        verdict.entries += 1
        match = PREFIX.match(line)
        if match is None or line[-HASH_TAIL - 1 : -67] != b',"hash":"' or line[-3:] != b'"}\n':
            whole = line[-1:] == b"\n"
            verdict.add(seq + 1, "this line is not a record: " + ("its form is broken" if whole else "it is unfinished"))
            others = [(seq, stored_hash, computed_hash), *others[:MAX_GUESSES]]
            seq, stored_hash, computed_hash = seq + 1, "", ""
            continue
        found = int(match[1])
        now_stored = line[-67:-3].decode("latin-1")
        now_computed = hashlib.sha256(line[: -HASH_TAIL - 1]).hexdigest()
        prev = line[-PREV_TAIL - 1 : -HASH_TAIL - 1]
        before = (seq, stored_hash, computed_hash)
        follows = _follows(found, prev, *before) or any(_follows(found, prev, *other) for other in others)
        if found != seq + 1 and not follows:
            verdict.add(seq + 1, f"record {seq + 1} should stand here, but the line says {found}")
            others = [(seq + 1, "", ""), before, *others[:MAX_GUESSES]]
        else:
            others = [before]
            if len(line) > MAX_LINE_BYTES:
                verdict.add(found, f"the line is longer than {MAX_LINE_BYTES} bytes")
            elif now_computed != now_stored:
                verdict.add(found, "the record was changed: its bytes do not give its hash")
            elif not follows:
                verdict.add(found, "the chain is broken: prev_hash is not the hash of the record before")
            else:
                others = []
        seq, stored_hash, computed_hash = found, now_stored, now_computed
        verdict.head = Receipt(found, now_stored)
        if match[2] == b"ask.received":
            verdict.open.add(found)
        elif match[3] is not None:
            verdict.open.discard(int(match[3]))
        if found in wanted:
            met.add(found)
            wanted[found].discard(now_stored)
    if not verdict.entries and start == EMPTY:
        verdict.add(0, "the log is empty: not even its first record, log.opened, is there")
    for number in sorted(number for number, hashes in wanted.items() if hashes):
        verdict.add(number, RECEIPT_PROBLEMS[number in met, number > seq])
    return verdict


def _follows(found: int, prev: bytes, seq: int, stored_hash: str, computed_hash: str) -> bool:
    return found == seq + 1 and (not stored_hash or prev == _prev(stored_hash) or prev == _prev(computed_hash))


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
