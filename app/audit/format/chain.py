"""The chain, as pure functions: link drafts to a head; check lines against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .record import EMPTY, HASH_TAIL, MAX_LINE_BYTES, PREFIX, PREV_TAIL, Draft, LogEnd, Receipt, line_of

MAX_PROBLEMS = 100
MAX_GUESSES = 16
"""How many earlier ends a line may follow after a run of breaks, so that a file of garbage is read in linear time."""
Place = tuple[int, bytes, bytes]
"""A record that a line may follow: its number, its stored and its computed hash; empty hashes: any."""
RECEIPT_PROBLEMS = {  # a record of that number was met; the number is past the end
    (True, False): "this is not the record that a receipt names: the log was rewritten",
    (True, True): "this is not the record that a receipt names: the log was rewritten",
    (False, True): "a receipt names this record, and the log does not have it: its end was cut off",
    (False, False): "a receipt names this record, and the log does not have it",
}


def link(drafts: Sequence[Draft], head: LogEnd, timestamp: str) -> tuple[bytes, list[Receipt], LogEnd]:
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
    return b"".join(lines), receipts, LogEnd(size, seq, prev_hash)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and at which record number a reader of an unbroken log would have met it."""

    seq: int
    problem: str


@dataclass(slots=True)
class ChainReport:
    """What a check of the log found. *head* is the last record that was read."""

    entries: int = 0
    head: Receipt | None = None
    problems: list[Problem] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    """Questions that were received and never ended: what a crash leaves."""
    recovered: list[int] = field(default_factory=list)
    """Where the log says that a torn tail was set aside."""
    found: int = 0
    """How many problems there are; only the first MAX_PROBLEMS are kept."""
    broken_at: int | None = None
    """The first place where bytes or links are wrong; None: nowhere."""
    missing: list[Receipt] = field(default_factory=list)
    """The receipts that do not hold."""

    @property
    def ok(self) -> bool:
        return not self.found

    def add(self, seq: int, problem: str) -> None:
        self.found += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(seq, problem))


def next_log_end(line: bytes, head: LogEnd) -> LogEnd | None:
    """The head after *line* (with its newline) if it is a whole record that follows *head*, else None."""
    match = PREFIX.match(line)
    if match is None or not line.endswith(b'"}\n') or len(line) > MAX_LINE_BYTES or int(match[1]) != head.seq + 1:
        return None
    digest = hashlib.sha256(line[: -HASH_TAIL - 1]).hexdigest()
    if line[-PREV_TAIL - 1 :] != b',"prev_hash":"%b","hash":"%b"}\n' % (head.hash.encode(), digest.encode()):
        return None
    return LogEnd(head.size + len(line), head.seq + 1, digest)


def check(lines: Iterable[bytes], receipts: Iterable[Receipt] = (), start: LogEnd = EMPTY) -> ChainReport:
    """Check stored *lines* (each with its newline) one after another, and that every receipt's record is among them."""
    checker = Checker(receipts, start)
    checker.feed(lines)
    return checker.finish()


class Checker:
    """`check`, for lines that come in pieces.

    After a break the check goes on as if that line had been put in, or stood in another's place, or followed lines that
    were taken out, whichever the next line bears out: so one edit is one problem, at the place where it was made.
    """

    def __init__(self, receipts: Iterable[Receipt] = (), start: LogEnd = EMPTY) -> None:
        self.verdict = ChainReport()
        self._start = start
        self._wanted: dict[int, set[str]] = {}
        for receipt in receipts:
            self._wanted.setdefault(receipt.seq, set()).add(receipt.hash)
        self._met: set[int] = set()
        self._before: Place = (start.seq, start.hash.encode(), start.hash.encode())  # what a line should follow
        self._others: list[Place] = []  # what it may follow besides, after a break

    def feed(self, lines: Iterable[bytes]) -> None:
        """The next lines: everything up to the next newline, or a last one without."""
        verdict, wanted = self.verdict, self._wanted
        sha256, prefix = hashlib.sha256, PREFIX.match
        seq, stored, computed = self._before
        count, record = 0, None
        for line in lines:
            count += 1
            match = prefix(line)
            if match is None or line[-HASH_TAIL - 1 : -67] != b',"hash":"' or line[-3:] != b'"}\n':
                self._before = (seq, stored, computed)
                self._break(
                    seq + 1, "this line is not a record: " + ("its form is broken" if line[-1:] == b"\n" else "it is unfinished")
                )
                self._others = [self._before, *self._others[:MAX_GUESSES]]
                seq, stored, computed = seq + 1, b"", b""
                continue
            number, action, received = match.groups()
            found = int(number)
            digest = sha256(line[: -HASH_TAIL - 1]).hexdigest().encode()
            end = b',"prev_hash":"%b","hash":"%b"}\n' % (stored, digest)
            if found == seq + 1 and line[-PREV_TAIL - 1 :] == end and len(line) <= MAX_LINE_BYTES:
                self._others = []
                stored = digest
            else:
                self._before = (seq, stored, computed)
                stored = line[-67:-3]
                self._judge(line, found, stored, digest)
            seq, computed = found, digest
            record = found, stored
            if action == b"ask.received":
                verdict.open.add(found)
            elif received is not None:
                verdict.open.discard(int(received))
            elif action == b"log.recovered":
                verdict.recovered.append(found)
            if found in wanted:
                self._met.add(found)
                wanted[found].discard(stored.decode("latin-1"))
        verdict.entries += count
        if record is not None:
            verdict.head = Receipt(record[0], record[1].decode("latin-1"))
        self._before = (seq, stored, computed)

    def _judge(self, line: bytes, found: int, stored: bytes, digest: bytes) -> None:
        """A record that is not simply the next one: what is wrong with it, if it does not follow a place from before a break."""
        seq = self._before[0]
        prev = line[-PREV_TAIL - 1 : -HASH_TAIL - 1]
        follows = any(_follows(found, prev, place) for place in (self._before, *self._others))
        if found != seq + 1 and not follows:
            self._break(seq + 1, f"record {seq + 1} should stand here, but the line says {found}")
            self._others = [(seq + 1, b"", b""), self._before, *self._others[:MAX_GUESSES]]
            return
        self._others = [self._before]
        if len(line) > MAX_LINE_BYTES:
            self._break(found, f"the line is longer than {MAX_LINE_BYTES} bytes")
        elif digest != stored:
            self._break(found, "the record was changed: its bytes do not give its hash")
        elif not follows:
            self._break(found, "the chain is broken: prev_hash is not the hash of the record before")
        else:
            self._others = []

    def finish(self) -> ChainReport:
        """The verdict, once all lines were fed."""
        verdict, seq = self.verdict, self._before[0]
        if not verdict.entries and self._start == EMPTY:
            self._break(0, "the log is empty: not even its first record, log.opened, is there")
        for number in sorted(number for number, hashes in self._wanted.items() if hashes):
            verdict.add(number, RECEIPT_PROBLEMS[number in self._met, number > seq])
            verdict.missing += [Receipt(number, digest) for digest in sorted(self._wanted[number])]
        return verdict

    def _break(self, seq: int, problem: str) -> None:
        self.verdict.add(seq, problem)
        if self.verdict.broken_at is None:
            self.verdict.broken_at = seq


def _follows(found: int, prev: bytes, place: Place) -> bool:
    seq, stored, computed = place
    return found == seq + 1 and (not stored or prev in (b',"prev_hash":"%b"' % stored, b',"prev_hash":"%b"' % computed))
