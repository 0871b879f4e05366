"""Every edit of a log is found, and the first finding names the place."""

from __future__ import annotations

import codecs
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.format.chain import link, next_log_end
from app.audit.format.record import EMPTY, GENESIS_HASH, MAX_LINE_BYTES, Receipt, draft, line_of, split_lines
from app.audit.verification.chain_check import ChainChecker
from app.audit.verification.report import MAX_FINDINGS, Finding

from ....support.chain import check_chain
from ....support.evidence import too_long_line
from ....support.examples import examples, scaled

TIME = "2026-11-23T09:15:02.123456Z"
SAVED, AS_EXPORTED = "which a program that saved a copy may have", "take it as it was exported"
LENGTH = 200
STEP = max(1, 100 // scaled(100))
"""From one changed byte to the next."""


def make_log(length: int = LENGTH) -> list[bytes]:
    texts = ["What is the capital of France?", 'a "quoted" text', "two\nlines", "é\u2028", "x" * 300, ""]
    drafts = [draft("log.opened", None, {"origin": "here"})]
    drafts += [draft("ask.received", "alice", {"query": texts[n % 6], "n": n}) for n in range(1, length)]
    return list(split_lines([link(drafts, EMPTY, TIME)[0]]))


LOG = make_log()


def receipt_of(line: bytes, seq: int) -> Receipt:
    return Receipt(seq, line[-67:-3].decode())


def named(lines: list[bytes]) -> list[int | None]:
    """The record numbers of the findings in these lines' bytes."""
    return [one.seq for one in check_chain(split_lines([b"".join(lines)])).findings]


def test_a_sound_log_is_sound() -> None:
    found = check_chain(LOG)
    last = receipt_of(LOG[-1], LENGTH - 1)
    assert (found.ok, found.entries, found.last_seq, found.last_record, found.findings) == (True, LENGTH, last.seq, last, [])
    assert found.right_up_to == LENGTH - 1


def test_the_hashes_of_the_records_that_are_asked_for_are_reported() -> None:
    checker = ChainChecker([3, 7, LENGTH])
    checker.feed(LOG)
    checker.feed([LOG[3].replace(b"quoted", b"QUOTED"), line_of(draft("log.alive", None, {}), 7, TIME, GENESIS_HASH)[0]])
    hashes = checker.report().hashes
    assert [len(hashes[number]) for number in (3, 7, LENGTH)] == [1, 2, 0]
    assert hashes[3] == {receipt_of(LOG[3], 3).hash}


def test_an_open_question_is_listed_and_is_no_problem() -> None:
    drafts = [draft("ask.received", "alice", {"query": "hi"}), draft("ask.received", "alice", {"query": "ho"})]
    drafts.append(draft("ask.answered", "alice", {"received": 0, "answer": "hi"}))
    data, _, _ = link(drafts, EMPTY, "2026-11-23T09:15:02.123456Z")
    found = check_chain(split_lines([data]))
    assert (found.ok, found.open) == (True, [1])
    assert check_chain(LOG).ok


def test_an_empty_log_is_not_sound() -> None:
    """A log is created with its first record, so a log without one was cut."""
    found = check_chain([])
    assert (found.ok, found.entries, found.last_record, found.findings[0].seq) == (False, 0, None, 0)


def test_a_part_of_a_log_can_be_checked_from_its_head() -> None:
    end = EMPTY
    for line in LOG[:50]:
        end = next_log_end(line, end) or pytest.fail("a sound line did not follow")
    assert check_chain(LOG[50:], start=end).ok
    assert not check_chain(LOG[51:], start=end).ok
    assert check_chain([], start=end).ok


# --- one byte ------------------------------------------------------------------------------------


def other_bytes(byte: int, number: int) -> Iterator[int]:
    """Its least neighbour, its other letter case, a digit, a newline, and one at random: never itself."""
    chance = random.Random(number).randrange(256)
    yield from {byte ^ 1, byte ^ 0x20, 0x30 + (byte + 1) % 10, 0x0A, chance} - {byte}


@pytest.mark.slow
def test_every_changed_byte_is_found_and_its_line_named() -> None:
    """Every byte of all 200 lines, in `make test-fast` every fifth; with its neighbours only: the rest did not change."""
    head, before = EMPTY, LOG[0]
    for seq, line in enumerate(LOG):
        following = LOG[seq + 1 : seq + 3]
        for at, byte in list(enumerate(line))[seq % STEP :: STEP]:
            other = next(other for other in other_bytes(byte, at) if at % 5 != 0 or other != 0x0A)
            changed = line[:at] + bytes([other]) + line[at + 1 :]
            problems = check_chain(split_lines([changed + b"".join(following)]), start=head).findings
            assert problems, (seq, at, other)
            assert problems[0].seq == seq, (seq, at, other, problems)
            if b"\n" not in (line[at : at + 1], bytes([other])):
                assert len(problems) <= 2, (seq, at, other, problems)
        head, before = next_log_end(line, head) or pytest.fail(f"line {seq} did not follow {before!r}"), line


@pytest.mark.parametrize("seq", [0, 1, 99, LENGTH - 1])
def test_a_byte_changed_to_any_kind_of_byte_is_found_in_the_whole_log(seq: int) -> None:
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


# --- whole lines ---------------------------------------------------------------------------------

LINE = st.integers(0, LENGTH - 1)


def test_every_deleted_line_is_found_and_named() -> None:
    for seq in range(LENGTH - 1):
        assert named(LOG[:seq] + LOG[seq + 1 :]) == [seq]


def test_two_swapped_neighbours_are_found() -> None:
    """Where the second one stands, where the first one stands, and where the log goes on after them."""
    for seq in range(LENGTH - 1):
        found = named([*LOG[:seq], LOG[seq + 1], LOG[seq], *LOG[seq + 2 :]])
        assert found == [seq, seq + 2, seq + 1][: LENGTH - seq]


@given(one=LINE, other=LINE)
def test_any_two_swapped_lines_are_found(one: int, other: int) -> None:
    lines = [*LOG]
    lines[one], lines[other] = lines[other], lines[one]
    assert named(lines)[:1] == ([] if one == other else [min(one, other)])
    assert len(named(lines)) <= 4


def test_every_repeated_line_is_found_and_named() -> None:
    """The repetition stands where the next record should."""
    for seq in range(LENGTH):
        assert named(LOG[: seq + 1] + LOG[seq:]) == [seq + 1]


@given(line=LINE, at=st.integers(0, LENGTH))
def test_a_copy_of_any_line_put_anywhere_is_found_at_its_place(line: int, at: int) -> None:
    """A copy right before its original takes its place: then the original is found."""
    found = named([*LOG[:at], LOG[line], *LOG[at:]])
    assert found[0] == (at + 1 if line == at else at)
    assert found[1:] in ([], [line + 1])


@given(line=LINE, at=LINE)
def test_a_copy_of_any_line_in_the_place_of_another_is_found_there(line: int, at: int) -> None:
    found = named([*LOG[:at], LOG[line], *LOG[at + 1 :]])
    assert found == ([] if line == at else [at, line + 1][: LENGTH - at])


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


def test_a_changed_digit_of_a_number_is_found_and_the_check_goes_on() -> None:
    """What the line says about itself is taken over, so the next line stands out too."""
    for seq in (7, 42, 120):
        for lie in (seq - 1, seq + 1, 0, 10**18):
            lines = [*LOG]
            lines[seq] = lines[seq].replace(b'"seq":%d,' % seq, b'"seq":%d,' % lie, 1)
            assert named(lines) == [seq, lie + 1]


def test_every_kind_of_problem_is_named() -> None:
    first, second = LOG[:2]
    other_prev = line_of(draft("log.alive", None, {}), 1, TIME, GENESIS_HASH)[0]
    problems = {
        b"{}\n": "this line is not a record: its form is broken",
        second[:-1]: "this line is not a record: it is unfinished",
        second[:-1] + b"\r\n": f"this line is not a record: it ends with CR LF, {SAVED} made of LF: {AS_EXPORTED}",
        codecs.BOM_UTF8 + second: f"this line is not a record: it begins with a byte order mark, {SAVED} added: {AS_EXPORTED}",
        LOG[2]: "record 1 should stand here, but the line says 2",
        second.replace(b"alice", b"alicf"): "the record was changed: its bytes do not give its hash",
        other_prev: "the chain is broken: prev_hash is not the hash of the record before",
    }
    for line, problem in problems.items():
        assert check_chain([first, line]).findings == [Finding(1, problem)]
    long = too_long_line()
    assert check_chain([long]).findings == [Finding(0, f"the line is longer than {MAX_LINE_BYTES} bytes")]


def test_later_problems_are_found_after_a_break() -> None:
    lines = [*LOG]
    lines[3] = b"garbage\n"
    for seq in (9, 50, LENGTH - 1):
        lines[seq] = lines[seq].replace(b"alice", b"alicf")
    assert named(lines) == [3, 9, 50, LENGTH - 1]
    assert check_chain(lines).right_up_to == 2


def test_a_true_line_that_comes_again_after_a_break_is_found() -> None:
    changed = [*LOG[:5], LOG[5].replace(b"alice", b"alicf"), *LOG[6:8], LOG[5], *LOG[8:]]
    assert named(changed) == [5, 8, 6]


@pytest.mark.parametrize("foreign", FOREIGN, ids=lambda line: line[:12])
def test_an_inserted_line_is_found_and_named(foreign: bytes) -> None:
    for at in (0, 1, 5, 99, 101, 150, LENGTH):
        found = named([*LOG[:at], foreign, *LOG[at:]])
        assert found[0] == at
        assert len(found) <= 2
        if at < LENGTH:
            assert named([*LOG[:at], foreign, *LOG[at + 1 :]])[0] == at


def test_a_forged_line_that_is_well_linked_is_found_at_the_next_record() -> None:
    forged, _ = line_of(draft("ask.received", "mallory", {"query": "x"}), 100, TIME, receipt_of(LOG[99], 99).hash)
    assert named([*LOG[:100], forged, *LOG[100:]]) == [101]  # at 100 stands the forgery, at 101 the true record 100
    assert named([*LOG[:100], forged, *LOG[101:]]) == [101]  # whose prev_hash no longer fits


def test_a_log_that_does_not_begin_at_its_first_record_is_found() -> None:
    assert named(LOG[1:]) == named(LOG[150:]) == [0]
    assert check_chain(LOG[1:]).right_up_to is None


def test_a_log_of_garbage_is_read_to_its_end_and_few_findings_are_kept() -> None:
    found = check_chain(b"garbage %d\n" % n for n in range(20_000))
    assert (found.entries, found.finding_count, len(found.findings)) == (20_000, 20_000, MAX_FINDINGS)


# --- lines that are cut -------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 7, 100, LENGTH])
def test_the_report_is_the_same_however_the_lines_come(batch: int) -> None:
    for lines in (LOG, LOG[1:], [*LOG[:50], b"{}\n", *LOG[51:-1], LOG[-1][:-9]], []):
        checker = ChainChecker()
        for at in range(0, len(lines), batch):
            checker.feed(lines[at : at + batch])
        assert checker.report() == check_chain(lines)


@examples(20)
@given(size=st.integers(1, 5000))
def test_a_log_is_sound_however_it_is_cut(size: int) -> None:
    text = b"".join(LOG)
    assert check_chain(split_lines(text[start : start + size] for start in range(0, len(text), size))).ok


@pytest.mark.parametrize("chunk", [b"x" * 100_000, b"\x00" * 999_999])
def test_a_huge_line_without_newline_is_found_in_little_memory(chunk: bytes) -> None:
    longest = 0

    def watched() -> Iterator[bytes]:
        nonlocal longest
        for line in split_lines([*LOG[:3], *[chunk] * 300, b"\n", *LOG[3:]]):
            longest = max(longest, len(line))
            yield line

    assert [one.seq for one in check_chain(watched()).findings] == [3, 4]  # it was put in
    assert longest < 65 * MAX_LINE_BYTES + len(chunk)


def test_an_unfinished_last_line_is_found() -> None:
    for missing in (1, 2, 75, 200):
        found = check_chain(split_lines([b"".join(LOG)[:-missing]]))
        assert [one.seq for one in found.findings] == [LENGTH - 1]
        assert "unfinished" in found.findings[0].problem
