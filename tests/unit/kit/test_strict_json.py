"""What is JSON here, and what is not: the JSON suite, and what parsers are known to let through."""

from __future__ import annotations

import json
from contextlib import nullcontext
from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit.strict_json import MAX_DEPTH, parse, verify_depth

from ...support.paths import CORPORA
from ...support.tables import for_each

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=20,
)


@cache
def suite(kind: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((CORPORA / "json").glob(f"{kind}_*.json"))}


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@for_each("name", suite("y"))
def test_what_the_suite_calls_json_is_parsed(name: str) -> None:
    data = suite("y")[name]
    if "duplicated" in name:  # JSON, but its meaning is not defined
        with pytest.raises(ValueError, match="a member twice"):
            parse(data)
    else:
        assert parse(data) == json.loads(data)


@for_each("name", suite("n"))
def test_what_the_suite_calls_no_json_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^it (is not|is nested|holds)|^NaN and"):
        parse(suite("n")[name])


@given(VALUES)
def test_what_is_encoded_is_parsed_again(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value
    assert parse(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == value


@given(VALUES)
def test_what_is_read_fast_has_the_types_and_values_of_the_slower_parser(value: Any) -> None:
    data = orjson.dumps(value)
    assert repr(parse(data)) == repr(json.loads(data))


@pytest.mark.parametrize("data", [b"18446744073709551616", b"-9223372036854775809", b"-0", b"-0.0", b"1e5", b"[1.10]"])
def test_no_number_is_changed_by_the_fast_parser(data: bytes) -> None:
    assert repr(parse(data)) == repr(json.loads(data))


@for_each(
    ("data", "reason"),
    [
        (b"\xff", "it is not UTF-8"),
        (b"\xef\xbb\xbf{}", "it is not JSON"),
        (b"", "it is not JSON"),
        (b"{} {}", "it is not JSON"),
        (b'{"secret": 1, "secret": 2}', "an object has a member twice"),
        (b'[{"a": {"b": 1, "b": 1}}]', "an object has a member twice"),
        (b"[NaN]", "NaN and Infinity are not JSON"),
        (b"[-Infinity]", "NaN and Infinity are not JSON"),
        (b"[1e999]", "it holds a number that is too large"),
        (b"[" + b"9" * 5000 + b"]", "it holds a number that is too long"),
        (nested(MAX_DEPTH + 2), "it is nested too deeply"),
        (nested(100_000), "it is nested too deeply"),
    ],
)
def test_a_refusal_says_why_and_repeats_nothing_of_the_input(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse(data)
    assert str(caught.value) == reason
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[0,{"a":', "}]")])
def test_lists_and_objects_count_as_levels_alike(opening: str, closing: str) -> None:
    levels = opening.count("[") + opening.count("{")
    for count in range(1, MAX_DEPTH + 4):
        data = (opening * count + "0" + closing * count).encode()
        if count * levels <= MAX_DEPTH + 1:
            assert parse(data) == json.loads(data)
        else:
            with pytest.raises(ValueError, match="nested too deeply"):
                parse(data)
        with pytest.raises(ValueError) if count * levels > MAX_DEPTH + 1 else nullcontext():
            verify_depth(json.loads(data), data)


def test_what_passes_can_be_encoded_by_orjson_within_a_record() -> None:
    value = parse(nested(MAX_DEPTH + 1))
    orjson.dumps({"details": {"messages": [{"content": value}]}})


def test_brackets_in_texts_are_not_levels() -> None:
    text = "[{" * 1000
    assert parse(json.dumps([text]).encode()) == [text]
    assert parse(json.dumps(text).encode()) == text


def test_many_lists_beside_each_other_are_not_deep() -> None:
    assert len(parse(b"[" + b",".join([b"[[]]"] * 1000) + b"]")) == 1000
