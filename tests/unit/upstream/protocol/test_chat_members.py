"""Where the message stands in a choice, and how a record holds it."""

from __future__ import annotations

from typing import Any

import pytest

from app.upstream.protocol.chat_members import DOCUMENT, further_in_choice, index_of, message_of, recorded
from app.upstream.protocol.content import further


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"delta": {"content": "a"}, "message": {"content": "b"}}, {"content": "a"}),
        ({"delta": {}, "message": {"content": "b"}}, {}),
        ({"delta": None, "message": {"content": "b"}}, {"content": "b"}),
        ({"text": "a"}, {"text": "a"}),
        ({"text": 7, "delta": 7, "message": []}, {"text": 7}),
        ({"text": [7], "delta": 7, "message": []}, {}),
        ({}, {}),
    ],
)
def test_a_delta_is_where_the_server_put_it(choice: dict[str, Any], message: dict[str, Any]) -> None:
    assert message_of(choice, "delta") == message


@pytest.mark.parametrize(
    ("index", "found"), [(0, 0), (7, 7), (-1, -1), ("2", 2), ("x", 5), ("99999", 5), (None, 5), (1.0, 5), (True, 5)]
)
def test_an_index_that_is_none_is_the_place(index: Any, found: int) -> None:
    assert index_of({"index": index}, 5) == found


def test_further_members_are_those_that_say_something() -> None:
    document = {"id": "x", "object": "y", "model": "m", "type": "ping", "citations": ["c"], "timings": {"ms": 7}, "empty": ""}
    assert further(document, DOCUMENT) == {"citations": ["c"]}


def test_further_members_of_a_choice_are_named_by_their_place() -> None:
    delta = {"content": "a"}
    choice = {"index": 1, "delta": delta, "message": {"content": "b"}, "text": "c", "finish_reason": "stop", "logprobs": ["l"]}
    assert dict(further_in_choice(choice, 1, delta)) == {"choices[1].message": {"content": "b"}, "choices[1].text": "c"}
    assert dict(further_in_choice({"text": "c"}, 0, {"text": "c"})) == {}


@pytest.mark.parametrize(
    ("message", "events", "kept"),
    [
        ({"role": "assistant", "content": "a", "refusal": None, "annotations": []}, [], "a"),
        ({"role": "assistant", "content": None}, [], None),
        ({}, [], None),
        ({"content": ["a"]}, [], {"content": ["a"]}),
        ({"content": "a", "tool_calls": [1]}, [], {"content": "a", "tool_calls": [1]}),
        ({"content": "a"}, [{"content": "a"}], {"content": "a", "events": [{"content": "a"}]}),
        ({"events": "a"}, ["b"], {"read_as": {"events": "a"}, "events": ["b"]}),
    ],
)
def test_a_message_is_recorded_as_its_text_or_whole(message: dict[str, Any], events: list[Any], kept: Any) -> None:
    assert recorded([(message, events)]) == kept
    assert recorded([(message, events)] * 2) == [kept, kept]
