"""Every byte of a 200-line log, replaced by every other value: each change is found and its line named."""

from __future__ import annotations

import time

from app.security.audit.chain import check, link, next_head, split_lines
from app.security.audit.entry import EMPTY, draft

from .crash import Figures

TIME = "2026-11-23T09:15:02.123456Z"


def change_every_byte(*, lines: int = 200, step: int = 1) -> Figures:
    """*step*: take only every so-manieth of the 255 other values of a byte. `answers` counts the changes that were found."""
    drafts = [draft("log.opened", None, {"origin": "here"})]
    drafts += [draft("ask.received", "alice", {"query": "What is the capital of France?", "n": n}) for n in range(1, lines)]
    log = list(split_lines([link(drafts, EMPTY, TIME)[0]]))
    started, changes, head = time.monotonic(), 0, EMPTY
    for seq, line in enumerate(log):
        following = b"".join(log[seq + 1 : seq + 2])
        for at, byte in enumerate(line):
            for other in range((at + seq) % step, 256, step):
                if other != byte:
                    changed = line[:at] + bytes([other]) + line[at + 1 :] + following
                    problems = check(split_lines([changed]), start=head).problems
                    assert problems, f"not found: line {seq}, byte {at}, {byte} made {other}"
                    assert problems[0].seq == seq, f"line {seq}, byte {at}, {byte} made {other}: {problems}"
                    changes += 1
        after = next_head(line, head)
        assert after is not None
        head = after
    return Figures(changes, lines, time.monotonic() - started)
