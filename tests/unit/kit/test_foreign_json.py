"""JSON of a model's server: what orjson does not take is read and written all the same."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit.foreign_json import MAX_FOREIGN_BYTES, as_utf8, dumps, json_as_utf8, loads, repeats_a_member, storable

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters()),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(st.characters()), children, max_size=3),
    max_leaves=10,
)
TRICKY = st.text(st.sampled_from('":\\ \n{},a😀'), max_size=6)
PAIRS: st.SearchStrategy[Any] = st.recursive(
    TRICKY,
    lambda children: st.lists(children, max_size=3) | st.lists(st.tuples(TRICKY, children), max_size=3).map(tuple),
    max_leaves=8,
)


@given(JSON)
def test_whatever_python_writes_is_read_and_written_again(value: Any) -> None:
    assert json.loads(dumps(loads(json.dumps(value).encode()))) == json.loads(json.dumps(value))


@given(JSON)
def test_a_record_can_hold_whatever_was_read(value: Any) -> None:
    orjson.dumps(storable(value))


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain", "plain"),
        ("\ud83d", "\\ud83d"),
        ("a\ude00\ud83d", "a\\ude00\\ud83d"),
        ("\ud83d\ude00", "😀"),
        ("é\ud83d😀", "é\\ud83d😀"),
    ],
)
def test_surrogates_are_joined_or_escaped(text: str, stored: str) -> None:
    assert storable({text: [text]}) == {stored: [stored]}


def test_numbers_of_any_size_are_stored() -> None:
    assert storable([2**64 - 1, "\ud83d"])[0] == 2**64 - 1
    assert storable([2**64, -(2**63) - 1]) == [str(2**64), str(-(2**63) - 1)]


@pytest.mark.parametrize("data", [b"", b"{", b"nope", b"'a'", b"[1,]", b"\xff"])
def test_what_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        loads(data)


def test_a_byte_order_mark_is_dropped_as_sdks_do() -> None:
    data = b'\xef\xbb\xbf{"a": ": "}'
    assert loads(data) == {"a": ": "}
    assert not repeats_a_member(loads(data), data)
    assert repeats_a_member({"a": 2}, b'\xef\xbb\xbf{"a": 1, "\\u0061": 2}')


def test_bytes_that_are_not_utf_8_may_be_replaced() -> None:
    assert loads(b'"a\xffb"', errors="replace") == "a\ufffdb"


def written(value: Any, space: str) -> str:
    """JSON in which a tuple of pairs is an object, so that it can repeat a name."""
    if isinstance(value, tuple):
        members = [f"{json.dumps(name)}{space}:{space}{written(item, space)}" for name, item in value]
        return "{" + f"{space},".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(item, space) for item in value) + "]"
    return json.dumps(value)


def has_repeated_names(value: Any) -> bool:
    if isinstance(value, tuple):
        names = [name for name, _ in value]
        return len(set(names)) < len(names) or any(has_repeated_names(item) for _, item in value)
    return isinstance(value, list) and any(map(has_repeated_names, value))


@given(PAIRS, st.sampled_from(["", " ", "\n\t"]))
def test_a_member_that_comes_twice_is_noticed_and_nothing_else(value: Any, space: str) -> None:
    data = written(value, space).encode()
    assert repeats_a_member(loads(data), data) == has_repeated_names(value)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from([None, "latin-1", "gbk", "x"]))
def test_what_is_utf_8_stays_as_it_is(text: str, charset: str | None) -> None:
    assert as_utf8(text.encode(), charset) == text.encode()


@given(st.binary(max_size=40), st.sampled_from([None, "latin-1", "utf-16", "gb18030", "idna", "utf_no", "zip"]))
def test_anything_becomes_utf_8(data: bytes, charset: str | None) -> None:
    as_utf8(data, charset).decode()
    json_as_utf8(data, charset).decode()


def test_a_large_document_must_be_json_as_most_parsers_have_it() -> None:
    """Python's own parser, which takes more, keeps all others waiting meanwhile."""
    for odd in (b"NaN", b'"\\ud83d"', b"1" * 400):
        small = b"[%b]" % odd
        assert len(loads(small)) == 1
        with pytest.raises(ValueError, match=r"."):
            loads(b" " * MAX_FOREIGN_BYTES + small)
    assert loads(b" " * MAX_FOREIGN_BYTES + b"[1]") == [1]
