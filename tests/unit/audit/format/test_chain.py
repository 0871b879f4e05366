"""Records are linked in order, and only a record that follows the end of a log is accepted after it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.format.chain import link, next_log_end
from app.audit.format.record import EMPTY, GENESIS_HASH, LogEnd, draft

from ....support.evidence import Evidence, too_long_line

TIME = "2026-11-23T09:15:02.123456Z"
LINES = [line + b"\n" for line in Evidence(3).lines]


@given(drafted=st.integers(1, 20), cut=st.integers(1, 20))
def test_linking_in_one_batch_or_in_many_gives_the_same_log(drafted: int, cut: int) -> None:
    drafts = [draft("log.alive", None, {"n": n}) for n in range(drafted)]
    whole, receipts, end = link(drafts, EMPTY, TIME)
    first, some, middle = link(drafts[:cut], EMPTY, TIME)
    second, others, last = link(drafts[cut:], middle, TIME)
    assert (first + second, some + others, last) == (whole, receipts, end)
    assert end == LogEnd(len(whole), drafted - 1, receipts[-1].hash)


def test_each_line_moves_the_end_of_the_log() -> None:
    first = next_log_end(LINES[0], EMPTY) or pytest.fail("the first line did not follow")
    assert (first.size, first.seq) == (len(LINES[0]), 0)
    second = next_log_end(LINES[1], first) or pytest.fail("the second line did not follow")
    assert (second.size, second.seq) == (len(LINES[0] + LINES[1]), 1)


def test_only_a_whole_record_that_follows_is_accepted() -> None:
    first = next_log_end(LINES[0], EMPTY) or pytest.fail("the first line did not follow")
    line = LINES[1]
    assert next_log_end(line, EMPTY) is None
    assert next_log_end(line, LogEnd(first.size, first.seq, GENESIS_HASH)) is None
    for at in range(len(line)):
        assert next_log_end(line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :], first) is None, at
        assert next_log_end(line[:at], first) is None, at


def test_a_line_that_is_too_long_is_refused_even_if_its_hash_is_right() -> None:
    assert next_log_end(too_long_line(), EMPTY) is None
