"""Whether stored lines are an unbroken chain; if not, where it breaks and what is wrong there."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from ..format.record import EMPTY, ENDS, HASH_TAIL, MAX_LINE_BYTES, PREFIX, PREV_TAIL, LogEnd, Receipt
from .report import MAX_FINDINGS, Finding

ANY_HASH = b""
"""Stands for the hash of a line that is not a record: any hash may follow it."""

# Parts of a line with its newline.
HASHED = slice(None, -HASH_TAIL - 1)
PREV_HASH_MEMBER = slice(-PREV_TAIL - 1, -HASH_TAIL - 1)
HASH_KEY = slice(-HASH_TAIL - 1, -67)  # ,"hash":"
HASH = slice(-67, -3)


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of the chain found."""

    entries: int
    """Lines that were read, whether they are records or not."""
    last_seq: int
    """The number that the last line states, or should have if it is not a record."""
    last_record: Receipt | None
    """The last line that has the form of a record."""
    findings: list[Finding]
    """The first MAX_FINDINGS, in the order of the log."""
    finding_count: int
    broken_at: int | None
    """The number of the first record that is wrong; None: none is."""
    open: list[int]
    """Questions that have no end."""
    recovered: list[int]
    """Records that say that a torn end was set aside."""
    hashes: dict[int, set[str]]
    """For each number that was asked for: the hashes of the records that have it."""

    @property
    def ok(self) -> bool:
        return self.broken_at is None

    @property
    def right_up_to(self) -> int | None:
        """The last record before the first break; None: there is no such record."""
        if self.broken_at is not None:
            return self.broken_at - 1 if self.broken_at else None
        return self.last_record.seq if self.last_record else None


class ChainChecker:
    """Checks lines that come in batches: `feed` them in order, then ask for the `report`.

    After a problem the check goes on from the number and hash that the line itself states. So later
    problems are found too, in linear time, and one edit may give more than one finding.
    """

    def __init__(self, numbers: Iterable[int] = (), start: LogEnd = EMPTY) -> None:
        """*numbers*: the records whose hashes to report. *start*: the end that the lines follow."""
        self._is_whole_log = start == EMPTY
        self._seq, self._prev_hash = start.seq, start.hash.encode()
        self._entries = 0
        self._last_record: tuple[int, bytes] | None = None
        self._open: set[int] = set()
        self._recovered: list[int] = []
        self._hashes: dict[int, set[str]] = {number: set() for number in numbers}
        self._findings: list[Finding] = []
        self._finding_count = 0
        self._broken_at: int | None = None

    def feed(self, lines: Iterable[bytes]) -> None:
        """Check the next lines, each with its newline. Only the last line of a log may lack it.

        Every line of the log passes here, so a right line costs one comparison of bytes. `_problem`
        checks the same step by step.
        """
        sha256, match_prefix = hashlib.sha256, PREFIX.match
        seq, prev_hash = self._seq, self._prev_hash
        for line in lines:
            self._entries += 1
            seq += 1
            prefix = match_prefix(line)
            digest = sha256(line[HASHED]).hexdigest().encode()
            ending = b',"prev_hash":"%b","hash":"%b"}\n' % (prev_hash, digest)
            if not (prefix and int(prefix[1]) == seq and line.endswith(ending) and len(line) <= MAX_LINE_BYTES):
                self._add(seq, _problem(line, seq, prev_hash))
                if not prefix or not _ends_as_record(line):
                    prev_hash = ANY_HASH
                    continue
                seq, digest = int(prefix[1]), line[HASH]
            prev_hash = digest
            self._last_record = seq, digest
            _, action, received = prefix.groups()
            if action == b"ask.received":
                self._open.add(seq)
            elif received is not None and action in ENDS:
                self._open.discard(int(received))
            elif action == b"log.recovered":
                self._recovered.append(seq)
            if seq in self._hashes:
                self._hashes[seq].add(_text(digest))
        self._seq, self._prev_hash = seq, prev_hash

    def report(self) -> ChainReport:
        """What was found, after all lines were fed."""
        if self._is_whole_log and not self._entries:
            self._add(0, "the log is empty: not even its first record, log.opened, is there")
        return ChainReport(
            entries=self._entries,
            last_seq=self._seq,
            last_record=Receipt(self._last_record[0], _text(self._last_record[1])) if self._last_record else None,
            findings=self._findings,
            finding_count=self._finding_count,
            broken_at=self._broken_at,
            open=sorted(self._open),
            recovered=sorted(self._recovered),
            hashes=self._hashes,
        )

    def _add(self, seq: int, problem: str | None) -> None:
        if problem is None:
            return
        self._finding_count += 1
        if self._finding_count <= MAX_FINDINGS:
            self._findings.append(Finding(seq, problem))
        if self._broken_at is None:
            self._broken_at = seq


def _problem(line: bytes, seq: int, prev_hash: bytes) -> str | None:
    """Why *line* is not record *seq* after the record with *prev_hash*; None: it is."""
    prefix = PREFIX.match(line)
    if prefix is None or not _ends_as_record(line):
        return f"this line is not a record: {_why_no_record(line)}"
    if int(prefix[1]) != seq:
        return f"record {seq} should stand here, but the line says {int(prefix[1])}"
    if len(line) > MAX_LINE_BYTES:
        return f"the line is longer than {MAX_LINE_BYTES} bytes"
    if hashlib.sha256(line[HASHED]).hexdigest().encode() != line[HASH]:
        return "the record was changed: its bytes do not give its hash"
    if prev_hash != ANY_HASH and line[PREV_HASH_MEMBER] != b',"prev_hash":"%b"' % prev_hash:
        return "the chain is broken: prev_hash is not the hash of the record before"
    return None


def _ends_as_record(line: bytes) -> bool:
    return line[HASH_KEY] == b',"hash":"' and line.endswith(b'"}\n')


def _text(digest: bytes) -> str:
    """A stated hash may be any bytes if the line was changed."""
    return digest.decode("latin-1")


def _why_no_record(line: bytes) -> str:
    """Editors, mail programs and shells change a copy in two of these ways."""
    if not line.endswith(b"\n"):
        return "it is unfinished"
    if line.endswith(b"\r\n"):
        return "it ends with CR LF, which a program that saved a copy may have made of LF: take it as it was exported"
    if line.startswith(codecs.BOM_UTF8):
        return "it begins with a byte order mark, which a program that saved a copy may have added: take it as it was exported"
    return "its form is broken"
