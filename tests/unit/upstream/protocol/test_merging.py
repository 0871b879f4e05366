"""Deltas add up to one message; where the sum would lose or mistake something, the deltas are kept too."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream.protocol.merging import Message
from app.upstream.protocol.parts import MAX_PARTS

from ....support.tables import for_each


def message_of(*deltas: dict[str, Any]) -> Message:
    message = Message()
    for delta in deltas:
        message.add(delta)
    return message


def merged(*deltas: dict[str, Any]) -> dict[str, Any]:
    return message_of(*deltas).plain()


def call(index: int | None, call_id: str | None, name: str | None = None, arguments: str | None = None) -> dict[str, Any]:
    """A delta with a piece of one tool call."""
    return {"tool_calls": [{"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}]}


def text_part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def calls_in(message: Message) -> list[tuple[str, str, str]]:
    calls = [(one.get("id"), one["function"]) for one in message.plain()["tool_calls"]]
    return [(own_id, function["name"], function["arguments"]) for own_id, function in calls]


@for_each(
    ("deltas", "message"),
    [
        ([], {}),
        ([{"content": "Hel"}, {"content": "lo"}], {"content": "Hello"}),
        ([{"role": "assistant"}, {"role": "assistant", "content": ""}], {"content": "", "role": "assistant"}),
        ([{"id": "", "type": None}, {"id": "a", "type": "t"}, {"id": "", "type": "t"}], {"id": "a", "type": "t"}),
        ([{"name": "get_"}, {"name": "weather"}, {"name": ""}], {"name": "get_weather"}),
        ([{"content": [{"type": "x"}]}, {"content": "a"}, {"content": "b"}], {"content": [{"type": "x"}, "ab"]}),
        ([{"content": "a"}, {"content": [{"type": "x"}]}], {"content": ["a", {"type": "x"}]}),
        (
            [{"l": [{"type": "text", "text": "a"}]}, {"l": [{"type": "text", "text": "b"}]}],
            {"l": [{"type": "text", "text": "ab"}]},
        ),
        ([{"content": None}, {"content": "x"}, {"content": None}], {"content": "x"}),
        ([{"a": {"b": "x"}}, {"a": {"b": "y", "c": "z"}}], {"a": {"b": "xy", "c": "z"}}),
        ([{"l": [1]}, {"l": [2, [3]]}], {"l": [1, 2, [3]]}),
        ([{"l": [{"x": "a"}]}, {"l": [{"x": "b"}]}], {"l": [{"x": "a"}, {"x": "b"}]}),
        ([{"z": "1", "content": "c"}], {"content": "c", "z": "1"}),
    ],
)
def test_deltas_add_up(deltas: list[dict[str, Any]], message: dict[str, Any]) -> None:
    assert merged(*deltas) == message
    assert list(merged(*deltas)) == list(message), "content comes first"
    assert message_of(*deltas).events() == [], "nothing is lost"


def test_parts_of_a_list_are_merged_by_their_index() -> None:
    first = {"index": 0, "id": "t1", "function": {"name": "w", "arguments": ""}}
    second = {"index": 1, "id": "t2", "function": {"name": "v", "arguments": "{"}}
    more = {"index": 0, "function": {"arguments": "[]"}}
    assert merged({"calls": [first, second]}, {"calls": [more]}) == {
        "calls": [{**first, "function": {"name": "w", "arguments": "[]"}}, second]
    }


def test_a_part_without_an_index_is_a_new_one() -> None:
    assert merged({"l": [{"x": 1}]}, {"l": [{"index": None, "y": 2}]}) == {"l": [{"x": 1}, {"index": None, "y": 2}]}


@pytest.mark.parametrize(
    ("deltas", "calls"),
    [
        ([call(0, "a", "read", "{}"), call(0, "b", "drop", "[]")], [("a", "read", "{}"), ("b", "drop", "[]")]),
        ([call(None, "a", "read", "{"), call(None, "a", None, "}")], [("a", "read", "{}")]),
        ([call(0, "a", "read", ""), call(0, "", "", "{}")], [("a", "read", "{}")]),
        ([call(0, "", "read", ""), call(0, "a", "", "{}")], [("a", "read", "{}")]),
        ([call(0, "a", "read", "{"), call(0, "a", "read", "}")], [("a", "read", "{}")]),
        ([call(0, "a", "re", ""), call(0, None, "ad", "{}")], [("a", "read", "{}")]),
        (
            [call(0, "a", "read", "{"), call(0, "b", "drop", "["), call(0, "a", None, "}"), call(0, "b", None, "]")],
            [("a", "read", "{}"), ("b", "drop", "[]")],
        ),
    ],
)
def test_calls_are_told_apart_by_index_and_id(deltas: list[dict[str, Any]], calls: list[tuple[str, str, str]]) -> None:
    message = message_of(*deltas)
    assert (calls_in(message), message.events()) == (calls, [])


def test_two_calls_at_one_index_may_come_in_one_delta() -> None:
    both = {"tool_calls": call(0, "a", "read", "{}")["tool_calls"] + call(0, "b", "drop", "[]")["tool_calls"]}
    message = message_of(both)
    assert (calls_in(message), message.events()) == ([("a", "read", "{}"), ("b", "drop", "[]")], [])


@pytest.mark.parametrize(
    ("deltas", "message", "events"),
    [
        ([{"n": 1}, {"n": 1}, {"n": 2}], {"n": 2}, [{"n": 1}, {"n": 2}]),
        ([{"a": "x"}, {"a": {"b": "y"}}], {"a": {"b": "y"}}, [{"a": "x"}, {"a": {"b": "y"}}]),
        ([{"id": "a", "c": "x"}, {"id": "b", "c": "y"}], {"id": "a", "c": "xy"}, [{"id": "a", "c": "x"}, {"id": "b", "c": "y"}]),
        ([{"name": "ha"}, {"name": "ha"}, {"c": "x"}], {"name": "ha", "c": "x"}, [{"name": "ha"}, {"name": "ha", "c": "x"}]),
        ([{"name": "ha"}, {"name": "ha"}, {"name": "ho"}], {"name": "haho"}, [{"name": "ha"}, {"name": "haho"}]),
        (
            [{"l": [{"index": 0}, {"index": 0, "x": "y"}]}],
            {"l": [{"index": 0, "x": "y"}]},
            [{"l": [{"index": 0}, {"index": 0, "x": "y"}]}],
        ),
    ],
)
def test_where_the_sum_loses_something_the_deltas_are_kept(deltas: list[Any], message: Any, events: list[Any]) -> None:
    """Each with those after it that add up."""
    found = message_of(*deltas)
    assert (found.plain(), found.events()) == (message, events)


def test_a_piece_that_may_belong_to_either_of_two_calls_is_kept_as_it_came() -> None:
    deltas = [call(0, "a", "read", "{}"), call(0, "b", "drop", "["), call(0, None, None, "]")]
    message = message_of(*deltas)
    assert calls_in(message)[1] == ("b", "drop", "[]")
    assert message.events()[1]["tool_calls"][0]["function"]["arguments"] == "]"


def test_an_event_may_be_kept_as_it_came() -> None:
    message = message_of({"content": "a"})
    message.add_raw(b'{"x": "\xff"}')
    message.add({"content": "b"})
    assert (message.plain(), message.events()) == ({"content": "ab"}, [{"content": "a"}, '{"x": "\ufffd"}', {"content": "b"}])


def test_of_too_many_parts_the_further_ones_are_kept_as_they_came() -> None:
    parts = [{"index": number} for number in range(MAX_PARTS + 1)]
    message = message_of({"l": parts[:-1]})
    assert message.events() == []
    message.add({"l": parts[-1:]})
    assert len(message.plain()["l"]) == MAX_PARTS
    assert message.events() == [{"l": parts[:-1]}, {"l": parts[-1:]}]
    assert message_of({"l": parts}).events() == [{"l": parts}]


def test_numbers_in_a_list_are_not_bounded_as_objects_are() -> None:
    message = message_of(*({"token_ids": [number]} for number in range(3 * MAX_PARTS)))
    assert (len(message.plain()["token_ids"]), message.events()) == (3 * MAX_PARTS, [])


@given(st.lists(st.text(max_size=3), min_size=1, max_size=30))
def test_a_text_is_its_pieces_joined(pieces: list[str]) -> None:
    assert merged(*({"content": piece} for piece in pieces)) == {"content": "".join(pieces)}


@pytest.mark.slow
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
