"""Which part of a list a piece goes on with, and where adding up would lose something."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.upstream.protocol.parts import MAX_PARTS, Parts, Text, adds_up, merge, plain

from ....support.tables import for_each


def summed(*deltas: dict[str, Any]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for delta in deltas:
        merge(total, delta)
    return total


@given(st.lists(st.text(max_size=3), min_size=1))
def test_a_text_grows_piece_by_piece(pieces: list[str]) -> None:
    text = Text(pieces[0])
    for piece in pieces[1:]:
        text.add(piece)
        assert text.joined().endswith(piece)
    assert text.joined() == "".join(pieces)


@for_each(
    ("first", "second", "is_one"),
    [
        ({"index": 0}, {"index": 0}, True),
        ({"index": 0, "id": "a"}, {"index": 0}, True),
        ({"index": 0}, {"index": 0, "id": "a"}, True),
        ({"index": 0, "id": "a"}, {"index": 0, "id": "a"}, True),
        ({"id": "a"}, {"id": "a", "index": None}, True),
        ({"type": "text", "text": "a"}, {"type": "text", "text": "b"}, True),
        ({"type": "x", "x": ["a"]}, {"type": "x", "x": ["b"]}, True),
        ({"index": 0}, {"index": 1}, False),
        ({"index": 0, "id": "a"}, {"index": 0, "id": "b"}, False),
        ({"id": "a"}, {"id": "b"}, False),
        ({}, {}, False),
        ({"type": "text", "text": "a"}, {"type": "text", "text": "b", "url": "c"}, False),
        ({"type": "text", "text": "a"}, {"type": "other", "other": "b"}, False),
        ({"type": "text", "text": "a"}, {"type": "text", "text": 7}, False),
        ({"type": ["text"]}, {"type": ["text"]}, False),
    ],
)
def test_parts_that_belong_together_are_one(first: dict[str, Any], second: dict[str, Any], is_one: bool) -> None:
    assert (len(plain(summed({"l": [first]}, {"l": [second]}))["l"]) == 1) == is_one


def test_a_piece_without_an_id_goes_on_with_the_last_part_of_its_index() -> None:
    parts = summed({"l": [{"index": 0, "id": "a"}, {"index": 0, "id": "b"}]})["l"]
    first, second = parts.items
    assert (parts.find({"index": 0}) is second, parts.is_shared({"index": 0})) == (True, True)
    assert (parts.find({"index": 0, "id": "a"}) is first, parts.is_shared({"index": 0, "id": "a"})) == (True, False)


def test_the_number_of_parts_is_bounded() -> None:
    parts = Parts()
    assert all(parts.add({"index": number}) is not None for number in range(MAX_PARTS))
    assert parts.add({"index": MAX_PARTS}) is None
    assert parts.add({"index": 0}) is not None


@for_each(
    ("known", "delta", "is_sure"),
    [
        ({}, {"a": 1, "b": [1], "c": {"d": "e"}}, True),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": None}, True),
        ({"a": {"b": "c"}}, {"a": {"b": "d"}}, True),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, False),
        ({"a": "x"}, {"a": {}}, False),
        ({"a": {"b": 1}}, {"a": "x"}, False),
        ({"a": [1]}, {"a": "x"}, True),
        ({"a": "x"}, {"a": [1]}, True),
        ({"id": "a"}, {"id": ""}, True),
        ({"id": "a"}, {"id": "b"}, False),
        ({"name": "get"}, {"name": "_it"}, True),
        ({"name": "get"}, {"name": "get"}, False),
        ({"id": "a", "name": "get"}, {"id": "a", "name": "get"}, True),
        ({"id": "a", "f": {"name": "get"}}, {"id": "a", "f": {"name": "get"}}, True),
        ({}, {"l": [{"index": 0}, {"index": 1}]}, True),
        ({}, {"l": [{"index": 0, "id": "a"}, {"index": 0, "id": "b"}]}, True),
        ({}, {"l": [{"index": 0}, {"index": 0}]}, False),
        ({}, {"l": [{"index": 0, "id": "a"}, {"index": 0}]}, False),
        ({}, {"l": [{"id": "a"}, {"id": "a"}]}, False),
        ({}, {"l": [[{"index": 0}, {"index": 0}]]}, False),
        ({}, {"l": [{"type": "x", "x": [{"index": 0}]}, {"type": "x", "x": [{"index": 0}]}]}, False),
        ({"l": [{"index": 0, "n": 1}]}, {"l": [{"index": 0, "n": 2}]}, False),
        ({}, {"l": [{}] * (MAX_PARTS + 1)}, False),
        ({}, {"l": [1] * (MAX_PARTS + 1)}, True),
    ],
)
def test_adding_up_is_sure_where_nothing_is_lost_or_mistaken(known: dict[str, Any], delta: dict[str, Any], is_sure: bool) -> None:
    assert adds_up(summed(known), delta) == is_sure


def test_a_text_is_compared_without_being_joined_again_and_again() -> None:
    text = Text("a")
    assert text.equals("a")
    for _ in range(10_000):
        text.add("b")
        assert not text.equals("b")
    assert text.equals("a" + "b" * 10_000)
    assert text.joined() == "a" + "b" * 10_000


def test_what_a_delta_adds_is_counted() -> None:
    target: dict[str, Any] = {}
    assert merge(target, {"content": "a", "role": "assistant"}) == 2
    assert merge(target, {"content": "b", "calls": [{"index": 0, "arguments": "x"}]}) == 4
    assert merge(target, {"content": "c", "calls": [{"index": 0, "arguments": "y"}]}) == 0
    assert merge(target, {"more": {"deep": [1, [2, 3]]}}) == 6
