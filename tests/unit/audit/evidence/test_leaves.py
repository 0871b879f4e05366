"""From lines to leaves: lines that chain are hashed, in bounded steps, and others are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.audit.evidence.leaves import read_leaves
from app.audit.format.merkle import leaf_hash
from app.audit.format.record import EMPTY, LogEnd, hash_of
from app.errors import AuditCorrupt

from ....support.evidence import KeptLog


@pytest.fixture
def kept(tmp_path: Path) -> KeptLog:
    kept = KeptLog(tmp_path)
    kept.add(9)
    return kept


def end_of(kept: KeptLog, seq: int) -> LogEnd:
    lines = kept.lines()[: seq + 1]
    return LogEnd(sum(len(line) + 1 for line in lines), seq, hash_of(lines[-1]) or "")


def test_each_line_has_its_leaf_and_its_end(kept: KeptLog) -> None:
    leaves = read_leaves(kept.store, EMPTY, end_of(kept, 9), 100)
    assert leaves.hashes == [leaf_hash(line) for line in kept.lines()]
    assert leaves.ends == [end_of(kept, seq).size for seq in range(10)]
    assert leaves.log_end == end_of(kept, 9) == kept.store.durable()


def test_no_more_lines_are_read_than_asked_for_and_than_are_durable(kept: KeptLog) -> None:
    part = read_leaves(kept.store, end_of(kept, 2), end_of(kept, 9), 4)
    assert part.log_end == end_of(kept, 6)
    assert len(part.hashes) == len(part.ends) == 4
    assert read_leaves(kept.store, part.log_end, end_of(kept, 8), 100).log_end == end_of(kept, 8)


def test_a_durable_end_without_a_hash_is_not_compared(kept: KeptLog) -> None:
    end = end_of(kept, 9)
    assert read_leaves(kept.store, EMPTY, LogEnd(end.size, 9, ""), 100).log_end == end


def test_lines_that_do_not_follow_the_start_are_refused(kept: KeptLog) -> None:
    start = end_of(kept, 2)
    for wrong in (LogEnd(start.size, 2, "0" * 64), LogEnd(start.size, 3, start.hash), LogEnd(start.size - 1, 2, start.hash)):
        with pytest.raises(AuditCorrupt, match=f"Record {wrong.seq + 1} of the audit log does not follow"):
            read_leaves(kept.store, wrong, end_of(kept, 9), 100)


@pytest.mark.parametrize(
    ("old", "new"), [(b'"query":"4"', b'"query":"X"'), (b'{"v":1,"seq":5,', b'{"v":2,"seq":5,'), (b"\n", b" ")]
)
def test_a_changed_line_is_refused(kept: KeptLog, old: bytes, new: bytes) -> None:
    durable = end_of(kept, 9)
    lines = [line + b"\n" for line in kept.lines()]
    lines[5] = lines[5].replace(old, new)
    kept.path.write_bytes(b"".join(lines))
    with pytest.raises(AuditCorrupt, match="Record 5 of the audit log does not follow"):
        read_leaves(kept.store, EMPTY, durable, 100)


def test_another_last_line_than_the_durable_one_is_refused(kept: KeptLog) -> None:
    end = end_of(kept, 9)
    with pytest.raises(AuditCorrupt, match="Record 9 of the audit log is not the one that was written"):
        read_leaves(kept.store, EMPTY, LogEnd(end.size, 9, "0" * 64), 100)


def test_a_log_that_ends_early_is_refused(kept: KeptLog) -> None:
    with pytest.raises(AuditCorrupt, match="ends after record 6, but more records were durable"):
        read_leaves(kept.store, EMPTY, LogEnd(end_of(kept, 6).size, 9, ""), 100)
