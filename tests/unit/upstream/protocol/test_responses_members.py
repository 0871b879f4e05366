"""What the events of a stream of /responses delivered, as a record holds it."""

from __future__ import annotations

from typing import Any

import pytest

from app.upstream.protocol.responses_members import ITEM, TEXT, Gathered, finish_of, recorded_output
from app.upstream.protocol.room import Room

TEXT_ITEM = {
    "type": "message",
    "id": "i",
    "status": "completed",
    "content": [{"type": "output_text", "text": "a", "annotations": []}],
}
CALL = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}


def gathered(*events: dict[str, Any]) -> Gathered:
    found = Gathered(Room())
    for event in events:
        found.add(event)
    return found


@pytest.mark.parametrize(
    ("output", "kept", "text"),
    [
        ([], "", ""),
        ([TEXT_ITEM], "a", "a"),
        ([TEXT_ITEM, TEXT_ITEM], "aa", "aa"),
        ([{"type": "message", "content": "a", "phase": "final_answer"}], "a", "a"),
        ([TEXT_ITEM, CALL], [TEXT_ITEM, CALL], "a"),
        ([{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}], None, ""),
        ([{"type": "reasoning", "summary": []}], None, ""),
        ([7], None, ""),
    ],
)
def test_an_output_is_recorded_as_its_text_or_whole(output: list[Any], kept: Any, text: str) -> None:
    assert recorded_output(output) == (output if kept is None else kept, text)


@pytest.mark.parametrize(
    ("response", "word"),
    [
        ({"status": "completed"}, "completed"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "max_output_tokens"),
        ({"status": "completed", "incomplete_details": None}, "completed"),
        ({}, None),
    ],
)
def test_a_response_ends_for_its_own_reason(response: dict[str, Any], word: str | None) -> None:
    assert finish_of(response) == word


def test_nothing_is_gathered_from_events_that_say_nothing() -> None:
    found = gathered({"type": "ping"}, {"type": f"{ITEM}.added", "item": {"type": "message", "content": []}}, {"delta": None})
    assert (found.recorded(), found.is_in([])) == (None, True)


def test_an_item_that_is_done_takes_the_place_of_the_item_that_began() -> None:
    found = gathered({"type": f"{ITEM}.added", "item": {**CALL, "arguments": ""}}, {"type": f"{ITEM}.done", "item": CALL})
    assert (found.recorded(), found.is_in([CALL]), found.is_in([TEXT_ITEM])) == ([CALL], True, False)


def test_odd_places_are_no_obstacle() -> None:
    found = gathered(
        *({"type": TEXT, "output_index": {"x": 1}, "delta": piece} for piece in "ab"), {"type": ["odd"], "delta": "c"}
    )
    assert found.recorded() == {TEXT: "ab", "['odd'] None": "c"}


def test_a_delta_that_is_no_text_is_kept() -> None:
    found = gathered({"type": "response.x.delta", "delta": {"a": "b"}}, {"type": "response.x.delta", "delta": {"a": "c"}})
    assert found.recorded() == {"response.x None": [{"delta": {"a": "b"}}, {"delta": {"a": "c"}}]}


def test_the_output_of_a_response_in_an_event_is_kept() -> None:
    found = gathered({"type": "response.in_progress", "response": {"output": [TEXT_ITEM], "instructions": "of the request"}})
    assert found.recorded() == {"response None": {"output": [TEXT_ITEM]}}
    assert found.is_in([TEXT_ITEM])


def test_places_that_read_the_same_have_names_of_their_own() -> None:
    """Thousands of them are named in a moment."""
    words = [f"a{' b' * left}" for left in range(3000)]
    found = gathered(*({"type": word, "item_id": "b" + " b" * (3000 - left), "delta": "x"} for left, word in enumerate(words)))
    parts = found.recorded()
    assert list(parts.values()) == ["x"] * len(words)
