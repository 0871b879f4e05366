"""Deltas add up to one message, as OpenAI's SDKs add them."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.protocol.merging import MAX_DEPTH, MAX_PARTS, Message


def merged(*deltas: dict[str, Any]) -> dict[str, Any]:
    message = Message()
    for delta in deltas:
        message.add(delta)
    return message.plain()


@pytest.mark.parametrize(
    ("deltas", "message"),
    [
        ([], {}),
        ([{"content": "Hel"}, {"content": "lo"}], {"content": "Hello"}),
        ([{"role": "assistant"}, {"role": "assistant", "content": ""}], {"content": "", "role": "assistant"}),
        ([{"id": "a", "type": "t"}, {"id": "b", "type": "u"}], {"id": "b", "type": "u"}),
        ([{"content": None}, {"content": "x"}, {"content": None}], {"content": "x"}),
        ([{"n": 1}, {"n": 2}], {"n": 2}),
        ([{"a": {"b": "x"}}, {"a": {"b": "y", "c": "z"}}], {"a": {"b": "xy", "c": "z"}}),
        ([{"a": "x"}, {"a": {"b": "y"}}], {"a": {"b": "y"}}),
        ([{"l": [1]}, {"l": [2, [3]]}], {"l": [1, 2, [3]]}),
        ([{"l": [{"x": "a"}]}, {"l": [{"x": "b"}]}], {"l": [{"x": "a"}, {"x": "b"}]}),
        ([{"z": "1", "content": "c"}], {"content": "c", "z": "1"}),
    ],
)
def test_deltas_add_up(deltas: list[dict[str, Any]], message: dict[str, Any]) -> None:
    assert merged(*deltas) == message
    assert list(merged(*deltas)) == list(message), "content comes first"


def test_parts_of_a_list_are_merged_by_their_index() -> None:
    first = {"index": 0, "id": "t1", "function": {"name": "w", "arguments": ""}}
    second = {"index": 1, "id": "t2", "function": {"name": "v", "arguments": "{"}}
    more = {"index": 0, "function": {"arguments": "[]"}}
    assert merged({"calls": [first, second]}, {"calls": [more]}) == {
        "calls": [{**first, "function": {"name": "w", "arguments": "[]"}}, second]
    }


def test_a_part_without_an_index_is_a_new_one() -> None:
    assert merged({"l": [{"x": 1}]}, {"l": [{"index": None, "y": 2}]}) == {"l": [{"x": 1}, {"index": None, "y": 2}]}


def nested(levels: int, kind: type) -> Any:
    value: Any = "x"
    for _ in range(levels):
        value = [value] if kind is list else {"a": value}
    return value


@pytest.mark.parametrize("kind", [list, dict])
def test_deep_deltas_are_refused(kind: type) -> None:
    merged({"a": nested(MAX_DEPTH, kind)})
    with pytest.raises(ValueError):
        merged({"a": nested(MAX_DEPTH + 1, kind)})


def test_a_list_has_a_bounded_number_of_parts() -> None:
    merged({"l": [{"index": number} for number in range(MAX_PARTS)]})
    with pytest.raises(ValueError):
        merged({"l": [{"index": number} for number in range(MAX_PARTS + 1)]})


@pytest.mark.parametrize("delta", [None, [], "x", 7])
def test_what_is_no_object_is_refused(delta: Any) -> None:
    with pytest.raises(AttributeError):
        merged(delta)


@given(st.lists(st.text(max_size=3), min_size=1, max_size=30))
def test_a_text_is_its_pieces_joined(pieces: list[str]) -> None:
    assert merged(*({"content": piece} for piece in pieces)) == {"content": "".join(pieces)}


def test_many_small_pieces_take_little_more_memory_than_their_text() -> None:
    message = Message()
    tracemalloc.start()
    try:
        for number in range(100_000):
            message.add({"content": f"{number:08}"})
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(message.plain()["content"]) == 800_000
    assert size < 2_000_000
