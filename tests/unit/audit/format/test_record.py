"""The stored record: its exact bytes, its size limit, and that no content can forge a line."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit.format.chain import next_log_end
from app.audit.format.record import (
    ACTIONS,
    EMPTY,
    GENESIS_HASH,
    MAX_DETAILS_BYTES,
    MAX_LINE_BYTES,
    PREFIX,
    Draft,
    LogEnd,
    Receipt,
    begins_as_record,
    computed_hash,
    details_of,
    draft,
    end_before,
    hash_of,
    is_record,
    line_ending,
    line_of,
    parse_line,
    prev_hash_of,
    request_member,
    seq_of,
    split_lines,
    user_of,
)

from ....support.optional import leave_out
from ....support.tables import for_each

TIME = "2026-11-23T09:15:02.123456Z"
ID = "0123456789abcdef0123456789abcdef"
MEMBERS = ["v", "seq", "timestamp", "request_id", "user_id", "action", "details", "prev_hash", "hash"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc\n\"'\\\u2028", max_size=5), inner, max_size=3),
    max_leaves=10,
)


def stored(details: dict[str, Any], user_id: str | None = "alice", action: str = "ask.received", seq: int = 7) -> bytes:
    return line_of(draft(action, user_id, details, ID), seq, TIME, GENESIS_HASH)[0]


# --- the exact bytes -----------------------------------------------------------------------------


def test_a_record_is_stored_in_exactly_these_bytes() -> None:
    """A stored format: if this test must change, the record's `v` must change with it."""
    details = {"query": 'Is "é" one\nletter?', "n": [1, None, True, 0.5]}
    line, digest = line_of(draft("ask.received", "alice", details, ID), 41, TIME, "ab" * 32)
    assert line == (
        b'{"v":1,"seq":41,"timestamp":"2026-11-23T09:15:02.123456Z","request_id":"0123456789abcdef0123456789abcdef",'
        b'"user_id":"alice","action":"ask.received",'
        b'"details":{"query":"Is \\"\xc3\xa9\\" one\\nletter?","n":[1,null,true,0.5]},'
        b'"prev_hash":"abababababababababababababababababababababababababababababababab",'
        b'"hash":"0cd8f3c6ecbe47d6ec15752e292fc1f0b5d442b71cfd1e1e102de15d460b4edd"}\n'
    )
    assert digest == "0cd8f3c6ecbe47d6ec15752e292fc1f0b5d442b71cfd1e1e102de15d460b4edd"


def test_the_first_record_of_a_log_is_stored_in_exactly_these_bytes() -> None:
    line, _ = line_of(draft("log.opened", None, {"origin": "here"}, ID), 0, TIME, GENESIS_HASH)
    assert line[:-76] == (
        b'{"v":1,"seq":0,"timestamp":"2026-11-23T09:15:02.123456Z","request_id":"0123456789abcdef0123456789abcdef",'
        b'"user_id":null,"action":"log.opened","details":{"origin":"here"},"prev_hash":"' + b"0" * 64 + b'"'
    )


def test_the_members_have_the_order_of_the_design() -> None:
    assert list(parse_line(stored({"hash": "not the hash", "seq": 9}))) == MEMBERS


def test_the_last_75_bytes_are_the_hash_of_all_bytes_before_them() -> None:
    line = stored({"query": "hi"}).removesuffix(b"\n")
    assert re.fullmatch(rb',"hash":"[0-9a-f]{64}"\}', line[-75:])
    assert line[-66:-2].decode() == hashlib.sha256(line[:-75]).hexdigest()


def test_a_shell_with_sha256sum_can_check_a_line() -> None:
    if shutil.which("sha256sum") is None:
        leave_out("there is no sha256sum (Debian: apt-get install coreutils)")
    script = 'read -r line; printf %s "${line%,\\"hash\\":*}" | sha256sum | cut -d" " -f1'
    line = stored({"query": 'a "quoted", {braced} \\ hostile\n query é', "hash": ',"hash":"'})
    printed = subprocess.run(["sh", "-c", script], input=line, capture_output=True, check=True).stdout
    assert printed.decode().strip() == json.loads(line)["hash"]


# --- what can be a record ------------------------------------------------------------------------


def test_every_action_of_the_closed_list_fits_the_form_of_a_line() -> None:
    assert all(PREFIX.match(stored({}, action=action)) for action in ACTIONS)


@pytest.mark.parametrize("action", ["", "ask", "ask.recieved", "ASK.RECEIVED", "ask.received\n", "ask.received "])
def test_an_unknown_action_raises(action: str) -> None:
    with pytest.raises(ValueError, match="unknown audit action"):
        draft(action, "alice", {})


@pytest.mark.parametrize("user_id", ["", "al", "a" * 33, "alice\n", 'al"ice', "älice", "al ice"])
def test_an_invalid_user_id_raises(user_id: str) -> None:
    with pytest.raises(ValueError, match="user_id"):
        draft("ask.received", user_id, {})


@pytest.mark.parametrize("request_id", ["", "0" * 31, "0" * 33, "0" * 32 + "\n", "F" * 32, '"' * 32])
def test_a_request_id_that_we_did_not_make_raises(request_id: str) -> None:
    with pytest.raises(ValueError, match="request_id"):
        draft("ask.received", "alice", {}, request_id)


@pytest.mark.parametrize("details", [{"x": "\ud800"}, {"x": object()}, {"x": b"bytes"}, {1: "x"}, {"x": 2**64}])
def test_details_that_are_not_json_raise(details: dict[Any, Any]) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        draft("ask.received", "alice", details)


def test_two_records_never_share_a_request_id_that_was_made_for_them() -> None:
    assert len({draft("log.alive", None, {}).request_id for _ in range(1000)}) == 1000


# --- reading a stored line -----------------------------------------------------------------------


@pytest.mark.parametrize("newline", [b"\n", b""])
def test_a_stored_line_gives_back_its_number_user_and_hashes(newline: bytes) -> None:
    whole, digest = line_of(draft("ask.received", "alice", {"query": "hi"}, ID), 41, TIME, "ab" * 32)
    line = whole.removesuffix(b"\n") + newline
    assert (seq_of(line), user_of(line), prev_hash_of(line)) == (41, "alice", "ab" * 32)
    assert hash_of(line) == computed_hash(line) == digest
    assert begins_as_record(line)
    assert is_record(line, 41) == bool(newline)
    assert whole.endswith(line_ending(digest))


@pytest.mark.parametrize("line", [b"", b"\n", b"{}\n", b'{"v":1}\n', b"x" * 200 + b"\n", stored({})[1:80]])
def test_a_line_that_is_no_record_gives_nothing(line: bytes) -> None:
    assert (seq_of(line), user_of(line), hash_of(line), prev_hash_of(line)) == (None, None, None, None)
    assert end_before(line, 0) is None
    assert not begins_as_record(line)
    assert not is_record(line, 7)


@pytest.mark.parametrize("line", [b"", b"\xff", b"[1]", b"{}", b'{"details":[1]}', stored({"n": 1})[:-9]])
def test_the_details_of_a_line_that_cannot_be_read_are_empty(line: bytes) -> None:
    assert details_of(line) == {}
    assert details_of(stored({"n": 1})) == {"n": 1}


def test_the_first_digits_of_a_request_id_find_its_line() -> None:
    assert all(request_member(ID[:digits]) in stored({}) for digits in (1, 8, 32))
    assert request_member(ID[1:]) not in stored({"text": ID})


def test_a_changed_line_has_another_hash_than_it_says() -> None:
    line = stored({"query": "hi"}).replace(b'"hi"', b'"ho"')
    assert hash_of(line) not in (None, computed_hash(line))


@pytest.mark.parametrize("text", ['","hash":"' + "0" * 64 + '"}', ',"prev_hash":"' + "1" * 64 + '","hash":"' + "0" * 64 + '"}'])
def test_the_hashes_are_read_from_the_end_of_a_line_only(text: str) -> None:
    line = stored({"query": text})
    assert (prev_hash_of(line), hash_of(line)) == (GENESIS_HASH, computed_hash(line))
    for other in (line[:-10], line[:-3] + b"'}\n", line[:-2] + b"]\n", line + b"\n", line + b" "):
        assert prev_hash_of(other) is None
        assert hash_of(other) is None


@pytest.mark.parametrize("user_id", ["bob", "a-b_C9", "x" * 32, None])
def test_a_stored_line_says_whose_it_is(user_id: str | None) -> None:
    for seq in (0, 10**18):
        assert user_of(stored({}, user_id, seq=seq)) == user_id


@pytest.mark.parametrize("user_id", [None, "alice"])
@pytest.mark.parametrize("text", ['","user_id":"bob"', '"user_id":"bob","action":"ask.received"', ',"user_id":"bob"'])
def test_details_cannot_make_a_record_somebody_s(text: str, user_id: str | None) -> None:
    """Details are what a caller sent."""
    assert user_of(stored({"user_id": "bob", "query": text}, user_id, "request.refused")) == user_id


def test_a_line_says_which_end_of_the_log_it_follows() -> None:
    assert end_before(stored({}, seq=7), 1_000) == LogEnd(1_000, 6, GENESIS_HASH)
    assert end_before(stored({}, seq=0), 0) == EMPTY
    assert end_before(stored({})[:-1], 0) is None


def test_a_line_is_a_record_only_under_its_own_number_and_alone() -> None:
    line = stored({}, seq=7)
    assert is_record(line, 7)
    assert not is_record(line, 8)
    assert not is_record(line + line, 7)
    assert not is_record(line.replace(b'"seq":7', b'"seq":07'), 7)


# --- content cannot forge ------------------------------------------------------------------------

HOSTILE = [
    "\n",
    "\r\n",
    "\u2028\u2029\x85\x0b\x0c",
    '"}\n{"v":1,"seq":0',
    "\x00\x1b[31m\x7f",
    '","hash":"' + "0" * 64 + '"}',
    "\\",
    '\\"',
    "\ufeff",
    "\u202e",
    "👩‍👩‍👧",
    "\x9b31m",
]


@for_each("text", HOSTILE, ids=ascii)
def test_hostile_text_stays_in_its_line_and_is_read_back_unchanged(text: str) -> None:
    line = stored({"query": text, text: [text]})
    assert line.count(b"\n") == 1
    assert parse_line(line)["details"] == {"query": text, text: [text]}
    assert not re.search(rb"[\x00-\x09\x0b-\x1f]", line)


@given(details=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), JSON, max_size=4))
def test_any_details_make_one_line_that_follows_the_end_of_the_log(details: dict[str, Any]) -> None:
    line = stored(details, seq=0)
    assert line.count(b"\n") == 1
    assert parse_line(line)["details"] == details
    head = next_log_end(line, EMPTY)
    assert head is not None
    assert (head.size, Receipt(head.seq, head.hash)) == (len(line), Receipt(0, parse_line(line)["hash"]))


# --- the bound -----------------------------------------------------------------------------------


def encoded(details: dict[str, Any]) -> bytes:
    return draft("ask.received", "alice", details).details


def longest_line(details: bytes) -> bytes:
    """With every other member as long as it can be."""
    long = max(ACTIONS, key=len)
    return line_of(Draft(long, "u" * 32, details, ID), 10**19 - 1, TIME, "f" * 64)[0]


@pytest.mark.parametrize("size", [0, 60_000, 60_799, 60_800, 60_801, 61_440, 70_000, 1_000_000])
def test_a_line_never_exceeds_60_kib(size: int) -> None:
    assert len(longest_line(encoded({"query": "x" * size}))) <= MAX_LINE_BYTES == 61_440


@given(size=st.integers(60_700, 60_900), filler=st.sampled_from(["x", '"', "\n", "é", "\u2028", "\x00"]))
def test_a_line_near_the_bound_never_exceeds_it(size: int, filler: str) -> None:
    assert len(longest_line(encoded({"query": filler * (size // len(json.dumps(filler)[1:-1])), "n": "x"}))) <= MAX_LINE_BYTES


@pytest.mark.parametrize("at", [-1, 0, 1])
def test_details_that_fit_exactly_are_stored_as_they_are(at: int) -> None:
    query = "x" * (MAX_DETAILS_BYTES - len('{"query":""}') + at)
    kept = json.loads(encoded({"query": query}))["query"]
    assert kept == (query if at <= 0 else {"sha256": hashlib.sha256(query.encode()).hexdigest(), "bytes": len(query)})


def test_a_record_with_too_long_details_is_stored_in_exactly_these_bytes() -> None:
    """A stored format too: `sha256` of the text's UTF-8 bytes, or of an array's or object's compact JSON, and its length."""
    messages = [{"role": "user", "content": "é"}] * 2_000
    details = {"received": 40, "answer": "é" * 40_000, "messages": messages, "model": "small"}
    line = line_of(draft("ask.answered", "alice", details, ID), 41, TIME, "ab" * 32)[0]
    assert line[:-142].endswith(
        b'"details":{"received":40,'
        b'"answer":{"sha256":"5af34165078f245d4399a6091f29ce953f347b1fd3f2e1d6de20fb29c8e84f54","bytes":80000},'
        b'"messages":{"sha256":"cedb4a4aaa86b4bab033f31e7ac90ac40e404866da741d9b111aca49cb033013","bytes":62001},'
        b'"model":"small"},"prev_hash":'
    )
    assert next_log_end(line, LogEnd(0, 40, "ab" * 32)) is not None


def test_a_record_of_too_many_members_still_says_which_question_has_ended() -> None:
    details = {"received": 40, **{f"member {n}": n for n in range(10_000)}}
    line = line_of(draft("ask.failed", "alice", details, ID), 41, TIME, "ab" * 32)[0]
    assert set(parse_line(line)["details"]) == {"received", "details"}
    match = PREFIX.match(line)
    assert match is not None
    assert match[3] == b"40"


# --- lines from chunks --------------------------------------------------------------------------


@given(text=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300)))
def test_lines_are_the_same_however_the_bytes_are_cut(text: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    chunks = [text[start:end] for start, end in pairwise(edges)]
    assert list(split_lines(chunks)) == list(split_lines([text]))
    assert b"".join(split_lines(chunks)) == text
    assert all(b"\n" not in line[:-1] and line for line in split_lines(chunks))
