"""Every edit of a log is found, and the right line named."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audit.format.chain import MAX_PROBLEMS, check, link, next_log_end
from app.audit.format.record import EMPTY, GENESIS_HASH, MAX_LINE_BYTES, LogEnd, Receipt, draft, line_of, split_lines

TIME = "2026-11-23T09:15:02.123456Z"
LENGTH = 200


def make_log(length: int = LENGTH) -> list[bytes]:
    texts = ["What is the capital of France?", 'a "quoted" text', "two\nlines", "é\u2028", "x" * 300, ""]
    drafts = [draft("log.opened", None, {"origin": "here"})]
    drafts += [draft("ask.received", "alice", {"query": texts[n % 6], "n": n}) for n in range(1, length)]
    return list(split_lines([link(drafts, EMPTY, TIME)[0]]))


LOG = make_log()


def receipt_of(line: bytes, seq: int) -> Receipt:
    return Receipt(seq, line[-67:-3].decode())


def named(lines: list[bytes]) -> list[int]:
    """The record numbers of the problems that are found in these lines' bytes."""
    return [problem.seq for problem in check(split_lines([b"".join(lines)])).problems]


def test_a_sound_log_is_sound() -> None:
    receipts = [receipt_of(line, seq) for seq, line in enumerate(LOG)]
    verdict = check(LOG, receipts)
    assert (verdict.ok, verdict.entries, verdict.head, verdict.problems) == (True, LENGTH, receipts[-1], [])


def test_a_question_without_its_end_is_told_and_is_no_problem() -> None:
    drafts = [draft("ask.received", "alice", {"query": "hi"}), draft("ask.received", "alice", {"query": "ho"})]
    drafts.append(draft("ask.answered", "alice", {"received": 0, "answer": "hi"}))
    data, _, _ = link(drafts, EMPTY, "2026-11-23T09:15:02.123456Z")
    verdict = check(split_lines([data]))
    assert (verdict.ok, verdict.open) == (True, {1})
    assert check(LOG).ok


def test_an_empty_log_is_not_sound() -> None:
    """A log is born with its first record: nothing at all is what a truncated one looks like."""
    verdict = check([])
    assert (verdict.ok, verdict.entries, verdict.head, verdict.problems[0].seq) == (False, 0, None, 0)


def test_a_part_of_a_log_can_be_checked_from_its_head() -> None:
    head = EMPTY
    for line in LOG[:50]:
        head = next_log_end(line, head) or pytest.fail("a sound line did not follow")
    assert check(LOG[50:], start=head).ok
    assert not check(LOG[51:], start=head).ok
    assert check([], start=head).ok


# --- one byte ------------------------------------------------------------------------------------


def other_bytes(byte: int, number: int) -> Iterator[int]:
    """Its least neighbour, its other letter case, a digit, a newline, and one at random: never itself."""
    chance = random.Random(number).randrange(256)
    yield from {byte ^ 1, byte ^ 0x20, 0x30 + (byte + 1) % 10, 0x0A, chance} - {byte}


def test_every_single_byte_change_is_found_and_its_line_named() -> None:
    """Every byte of all 200 lines. Only its neighbours are checked again each time: the rest of the log did not change."""
    head, before = EMPTY, LOG[0]
    for seq, line in enumerate(LOG):
        following = LOG[seq + 1 : seq + 3]
        for at, byte in enumerate(line):
            other = next(other for other in other_bytes(byte, at) if at % 5 != 0 or other != 0x0A)
            changed = line[:at] + bytes([other]) + line[at + 1 :]
            problems = check(split_lines([changed + b"".join(following)]), start=head).problems
            assert problems, (seq, at, other)
            assert problems[0].seq == seq, (seq, at, other, problems)
            if b"\n" not in (line[at : at + 1], bytes([other])):
                assert [problem.seq for problem in problems] == [seq], (seq, at, other, problems)
        head, before = next_log_end(line, head) or pytest.fail(f"line {seq} did not follow {before!r}"), line


@pytest.mark.parametrize("seq", [0, 1, 99, LENGTH - 1])
def test_every_byte_of_a_line_changed_to_every_kind_of_byte_is_found_in_the_whole_log(seq: int) -> None:
    text = b"".join(LOG)
    start = sum(map(len, LOG[:seq]))
    for at in range(start, start + len(LOG[seq]), 7):
        for other in other_bytes(text[at], at):
            found = named([text[:at] + bytes([other]) + text[at + 1 :]])
            assert found, (at, other)
            assert found[0] == seq, (at, other, found)


@given(at=st.integers(0, len(b"".join(LOG)) - 1), other=st.integers(0, 255))
def test_any_byte_changed_to_any_other_is_found(at: int, other: int) -> None:
    text = b"".join(LOG)
    found = named([text[:at] + bytes([other]) + text[at + 1 :]])
    assert found[:1] == ([] if text[at] == other else [text[:at].count(b"\n")])


def test_a_changed_digit_of_a_number_is_one_problem() -> None:
    for seq in (7, 42, 120):
        for lie in (seq - 1, seq + 1, 0, 10**18):
            lines = [*LOG]
            lines[seq] = lines[seq].replace(b'"seq":%d,' % seq, b'"seq":%d,' % lie, 1)
            assert named(lines) == [seq]


# --- whole lines ---------------------------------------------------------------------------------

LINE = st.integers(0, LENGTH - 1)


def test_every_deleted_line_is_found_and_named() -> None:
    for seq in range(LENGTH - 1):
        assert named(LOG[:seq] + LOG[seq + 1 :]) == [seq]


def test_a_missing_last_line_is_found_through_a_receipt() -> None:
    receipt = receipt_of(LOG[-1], LENGTH - 1)
    assert check(LOG[:-1]).ok  # what a chain alone cannot show
    verdict = check(LOG[:-1], [receipt])
    assert [problem.seq for problem in verdict.problems] == [LENGTH - 1]
    assert "cut off" in verdict.problems[0].problem


def test_every_swapped_pair_of_neighbours_is_found_and_both_named() -> None:
    for seq in range(LENGTH - 1):
        found = named([*LOG[:seq], LOG[seq + 1], LOG[seq], *LOG[seq + 2 :]])
        assert found == [seq, seq + 1][: LENGTH - 1 - seq]  # after the last two comes no line that would bear it out


@given(one=LINE, other=LINE)
def test_any_two_swapped_lines_are_found_and_both_named(one: int, other: int) -> None:
    lines = [*LOG]
    lines[one], lines[other] = lines[other], lines[one]
    last_two = {one, other} == {LENGTH - 2, LENGTH - 1}
    assert named(lines) == ([] if one == other else sorted((one, other))[: 1 if last_two else 2])


def test_every_repeated_line_is_found_and_named() -> None:
    """The repetition stands where the next record should."""
    for seq in range(LENGTH):
        assert named(LOG[: seq + 1] + LOG[seq:]) == [seq + 1]


@given(line=LINE, at=st.integers(0, LENGTH))
def test_a_copy_of_any_line_put_anywhere_is_found_at_its_place(line: int, at: int) -> None:
    """Before itself it is its twin that stands out."""
    assert named([*LOG[:at], LOG[line], *LOG[at:]]) == [at + 1 if line == at else at]


@given(line=LINE, at=LINE)
def test_a_copy_of_any_line_in_the_place_of_another_is_found_there(line: int, at: int) -> None:
    assert named([*LOG[:at], LOG[line], *LOG[at + 1 :]]) == ([] if line == at else [at])


FOREIGN = [
    b"\n",
    b"{}\n",
    b"not a record\n",
    b"\x00" * 4096 + b"\n",
    LOG[5].replace(b"alice", b"mally"),
    line_of(draft("ask.received", "mallory", {"query": "never asked"}), 100, TIME, GENESIS_HASH)[0],
    line_of(draft("ask.received", "mallory", {"query": "x"}), 10_000, TIME, GENESIS_HASH)[0],
    b"x" * (65 * MAX_LINE_BYTES) + b"\n",
]


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda line: line[:12])
def test_an_inserted_line_is_found_and_named(foreign: bytes) -> None:
    for at in (0, 1, 5, 99, 101, 150, LENGTH):
        assert named([*LOG[:at], foreign, *LOG[at:]]) == [at]
        if at < LENGTH:
            assert named([*LOG[:at], foreign, *LOG[at + 1 :]])[0] == at


def test_a_forged_line_with_the_right_number_and_link_stands_out_at_the_record_that_it_pushed_away() -> None:
    forged, _ = line_of(draft("ask.received", "mallory", {"query": "x"}), 100, TIME, receipt_of(LOG[99], 99).hash)
    assert named([*LOG[:100], forged, *LOG[100:]]) == [101]  # at 100 stands the forgery, at 101 the true record 100
    assert named([*LOG[:100], forged, *LOG[101:]]) == [101]  # whose prev_hash no longer fits
    found = check([*LOG[:100], forged, *LOG[101:]], [receipt_of(LOG[100], 100)])
    assert "a receipt names" in found.problems[-1].problem


def test_a_line_that_is_too_long_is_no_record_even_if_its_hash_is_right() -> None:
    huge, _ = line_of(draft("ask.received", "alice", {}), 0, TIME, GENESIS_HASH)
    body = huge[:-76].replace(b'"details":{}', b'"details":{"x":"%b"}' % (b"x" * MAX_LINE_BYTES))
    line = body + b',"hash":"%b"}\n' % hashlib.sha256(body).hexdigest().encode()
    assert next_log_end(line, EMPTY) is None
    assert [problem.seq for problem in check([line]).problems] == [0]


def test_a_log_that_does_not_begin_at_its_first_record_is_found() -> None:
    assert named(LOG[1:])[0] == 0
    assert named(LOG[150:])[0] == 0


def test_a_log_of_garbage_is_read_to_its_end_and_only_so_many_problems_are_kept() -> None:
    verdict = check(b"garbage %d\n" % n for n in range(20_000))
    assert (verdict.entries, verdict.found, len(verdict.problems)) == (20_000, 20_000, MAX_PROBLEMS)


# --- receipts ------------------------------------------------------------------------------------


@given(seq=LINE)
def test_every_receipt_of_a_rewritten_tail_is_missed(seq: int) -> None:
    """Somebody cuts the log at *seq* and writes a sound end of his own."""
    head = EMPTY
    for line in LOG[:seq]:
        head = next_log_end(line, head) or head
    forged, _, _ = link([draft("ask.received", "mallory", {})] * (LENGTH - seq), head, TIME)
    lines = [*LOG[:seq], *split_lines([forged])]
    assert check(lines).ok
    receipts = [receipt_of(line, number) for number, line in enumerate(LOG)]
    assert [problem.seq for problem in check(lines, receipts).problems] == list(range(seq, LENGTH))[:MAX_PROBLEMS]


def test_two_receipts_for_one_record_cannot_both_hold() -> None:
    verdict = check(LOG, [receipt_of(LOG[3], 3), Receipt(3, "0" * 64)])
    assert [problem.seq for problem in verdict.problems] == [3]


def test_a_receipt_of_a_broken_line_is_not_called_cut_off() -> None:
    verdict = check([*LOG[:3], b"broken\n", *LOG[4:]], [receipt_of(LOG[3], 3)])
    assert [problem.seq for problem in verdict.problems] == [3, 3]
    assert "cut off" not in verdict.problems[1].problem


# --- lines from chunks ---------------------------------------------------------------------------


@given(text=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300)))
def test_lines_are_the_same_however_the_bytes_are_cut(text: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[start:end] for start, end in pairwise(edges)]
    assert list(split_lines(chunks)) == list(split_lines([text]))
    assert b"".join(split_lines(chunks)) == text
    assert all(b"\n" not in line[:-1] and line for line in split_lines(chunks))


@settings(max_examples=20)
@given(size=st.integers(1, 5000))
def test_a_log_is_sound_however_it_is_cut(size: int) -> None:
    text = b"".join(LOG)
    assert check(split_lines(text[start : start + size] for start in range(0, len(text), size))).ok


@pytest.mark.parametrize("chunk", [b"x" * 100_000, b"\x00" * 999_999])
def test_a_huge_line_without_newline_is_one_problem_in_little_memory(chunk: bytes) -> None:
    longest = 0

    def disconnect_watch() -> Iterator[bytes]:
        nonlocal longest
        for line in split_lines([*LOG[:3], *[chunk] * 300, b"\n", *LOG[3:]]):
            longest = max(longest, len(line))
            yield line

    assert [problem.seq for problem in check(disconnect_watch()).problems] == [3]
    assert longest < 65 * MAX_LINE_BYTES + len(chunk)


def test_an_unfinished_last_line_is_found() -> None:
    for missing in (1, 2, 75, 200):
        verdict = check(split_lines([b"".join(LOG)[:-missing]]))
        assert [problem.seq for problem in verdict.problems] == [LENGTH - 1]
        assert "unfinished" in verdict.problems[0].problem


@given(drafted=st.integers(1, 20), cut=st.integers(1, 20))
def test_linking_in_one_batch_or_in_many_gives_the_same_log(drafted: int, cut: int) -> None:
    drafts = [draft("log.alive", None, {"n": n}) for n in range(drafted)]
    whole, receipts, head = link(drafts, EMPTY, TIME)
    first, some, middle = link(drafts[:cut], EMPTY, TIME)
    second, others, end = link(drafts[cut:], middle, TIME)
    assert (first + second, some + others, end) == (whole, receipts, head)
    assert head == LogEnd(len(whole), drafted - 1, receipts[-1].hash)
