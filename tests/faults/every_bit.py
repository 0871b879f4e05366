"""Flips every bit of a 200-record log, and tries every cut, drop, swap, repeat and insertion.

All are found, and the first finding names the place. Each edit is checked in the smallest window that
shows it, starting one record earlier, because the rest of the log did not change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from app.audit.format.chain import link
from app.audit.format.record import EMPTY, Draft, LogEnd, Receipt, draft, split_lines
from app.audit.verification.expected import ExpectedEvidence
from app.audit.verification.report import Finding
from app.audit.verification.verifier import verify_log

from ..support.chain import check_chain
from .figures import Figures

TIME = "2026-11-23T09:15:02.123456Z"
Edit = tuple[str, list[Finding], int]
"""What was done, what was found, and the number of the first wrong record."""


class Log:
    """A log of *lines* records, with the end of the log before each of them."""

    def __init__(self, lines: int = 200) -> None:
        drafts = [draft("log.opened", None, {"origin": "here"})]
        drafts += [draft("ask.received", "alice", {"query": "What is the capital of France?", "n": n}) for n in range(1, lines)]
        self.lines: list[bytes] = []
        self.ends: list[LogEnd] = [EMPTY]
        for one in drafts:
            self.append(one)

    def append(self, one: Draft) -> None:
        line, _, end = link([one], self.ends[-1], TIME)
        self.lines.append(line)
        self.ends.append(end)

    def findings(self, seq: int, *window: bytes) -> list[Finding]:
        """The findings if *window* replaces the lines from record *seq* on."""
        return check_chain(split_lines([b"".join(window)]), start=self.ends[seq]).findings


def flips(log: Log, step: int) -> Iterator[Edit]:
    """Flip every *step*-th bit."""
    number = 0
    for seq, line in enumerate(log.lines):
        following = b"".join(log.lines[seq + 1 : seq + 2])
        changed = bytearray(line)
        for at in range(len(line)):
            for bit in range(8):
                number += 1
                if number % step == 0:
                    changed[at] ^= 1 << bit
                    yield f"record {seq}, byte {at}, bit {bit}", log.findings(seq, bytes(changed), following), seq
                    changed[at] ^= 1 << bit


def cuts(log: Log, step: int) -> Iterator[Edit]:
    """Cut off the end at every byte. Only a receipt of the last record reveals a cut between two records."""
    last = Receipt(log.ends[-1].seq, log.ends[-1].hash)
    for seq, line in enumerate(log.lines):
        found = verify_log(partial(iter, log.lines[:seq]), ExpectedEvidence([last])).findings
        yield f"cut before record {seq}", [one for one in found if one.seq == last.seq], last.seq
        for at in range(1, len(line), step):
            yield f"cut in record {seq} after {at} bytes", log.findings(seq, line[:at]), seq


def drops(log: Log, step: int) -> Iterator[Edit]:
    """Take out every run of records that does not reach the end (that would be a cut)."""
    for seq in range(len(log.lines)):
        for end in range(seq + 1, len(log.lines), step):
            yield f"records {seq} to {end - 1} dropped", log.findings(seq, log.lines[end]), seq


def swaps(log: Log, step: int) -> Iterator[Edit]:
    for one in range(len(log.lines)):
        for other in range(one + 1, len(log.lines), step):
            between = log.lines[one + 1] if other > one + 1 else log.lines[one]
            yield f"records {one} and {other} swapped", log.findings(one, log.lines[other], between), one


def repeats(log: Log, step: int) -> Iterator[Edit]:
    """Insert a copy of every record before every record and at the end."""
    for seq in range(0, len(log.lines), step):
        for place in range(len(log.lines) + 1):
            if place != seq:  # a copy before itself equals one after itself
                following = log.lines[place : place + 1]
                yield f"record {seq} again before {place}", log.findings(place, log.lines[seq], *following), place


def inserts(log: Log, step: int) -> Iterator[Edit]:
    """Insert before every record a well linked one and broken lines, and one byte at every position."""
    for seq, line in enumerate(log.lines):
        forged = link([draft("ask.received", "alice", {"query": "put in"})], log.ends[seq], TIME)[0]
        # It is linked to the record before it, so the first wrong line is the one after it.
        yield f"a forged record before {seq}", log.findings(seq, forged, line), seq + 1
        for other in (b"\n", b"{}\n", b"x" * 400 + b"\n", b"\0" * 512, line[:100] + b"\n"):
            yield f"{other[:10]!r} before {seq}", log.findings(seq, other, line), seq
        for at in range(0, len(line), step):
            put_in = line[:at] + b"0" + line[at:]
            yield f"a byte put into record {seq} at {at}", log.findings(seq, put_in, *log.lines[seq + 1 : seq + 2]), seq


def removals(log: Log, step: int) -> Iterator[Edit]:
    """Take out one byte at every position."""
    for seq, line in enumerate(log.lines):
        for at in range(0, len(line), step):
            cut_out = line[:at] + line[at + 1 :]
            yield f"byte {at} of record {seq} taken out", log.findings(seq, cut_out, *log.lines[seq + 1 : seq + 2]), seq


EDITS: tuple[Callable[[Log, int], Iterator[Edit]], ...] = (flips, cuts, drops, swaps, repeats, inserts, removals)


def edit_everything(*, lines: int = 200, step: int = 1) -> Figures:
    """Try every *step*-th edit of each kind. `answers` counts the edits that were found."""
    log, started, found = Log(lines), time.monotonic(), 0
    for kind in EDITS:
        for what, findings, seq in kind(log, step):
            assert findings, f"not found: {what}"
            assert findings[0].seq == seq, f"{what}: found {findings[0]}, expected record {seq}"
            found += 1
    return Figures(found, lines, time.monotonic() - started)
