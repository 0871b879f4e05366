"""The blocks of a streamed message: added up, and kept as they came where that would lose something."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import UpstreamError
from app.upstream.protocol.messages_members import BLOCK, DELTA, MAX_BLOCKS, Gathered, recorded_content
from app.upstream.protocol.room import Room

TEXT = {"type": "text", "text": ""}


def gathered(*events: tuple[str, dict[str, Any]]) -> Gathered:
    known = Gathered(Room())
    for kind, document in events:
        known.add(kind, {"type": kind, **document}, None)
    return known


def begun(index: Any, **block: Any) -> tuple[str, dict[str, Any]]:
    return BLOCK, {"index": index, "content_block": block}


def delta(index: Any, **members: Any) -> tuple[str, dict[str, Any]]:
    return DELTA, {"index": index, "delta": members}


def test_the_pieces_of_a_text_a_thought_and_a_signature_are_joined() -> None:
    thought = begun(0, type="thinking", thinking="", signature="")
    pieces = [delta(0, type="thinking_delta", thinking=one) for one in ("h", "m")]
    signed = delta(0, type="signature_delta", signature="c2ln")
    texts = [begun(1, **TEXT), delta(1, type="text_delta", text="Hel"), delta(1, type="text_delta", text="lo")]
    assert gathered(thought, *pieces, signed, *texts).content() == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "text", "text": "Hello"},
    ]


def test_the_input_of_a_tool_is_the_json_as_it_came() -> None:
    call = begun(0, type="tool_use", id="t", name="weather", input={})
    pieces = [delta(0, type="input_json_delta", partial_json=one) for one in ("", '{"n": 1', "0000000000000000000000}")]
    assert gathered(call, *pieces).content() == [
        {"type": "tool_use", "id": "t", "name": "weather", "input": '{"n": 10000000000000000000000}'}
    ]


def test_a_citation_joins_those_of_its_block() -> None:
    cited = [delta(0, type="citations_delta", citation={"type": "x", "cited_text": one}) for one in ("a", "b")]
    known = gathered(begun(0, **TEXT, citations=[]), *cited)
    citations = [{"type": "x", "cited_text": one} for one in ("a", "b")]
    assert known.content() == [{"type": "text", "text": "", "citations": citations}]


def test_a_block_that_is_not_begun_or_begun_twice_costs_nothing() -> None:
    known = gathered(delta(3, type="text_delta", text="a"), begun(0, **TEXT), delta(None, type="text_delta", text="b"))
    assert [block["text"] for block in known.content()] == ["a", "b"]
    known = gathered(*(one for text in "ab" for one in (begun(0, **TEXT), delta(0, type="text_delta", text=text))))
    assert [block["text"] for block in known.content()] == ["a", "b"]


def test_a_value_that_changes_is_kept_event_by_event() -> None:
    known = gathered(begun(0, type="x", stage=1), delta(0, type="x_delta", stage=2))
    assert known.content() == [{"type": "x", "stage": 2, "events": [{"type": "x", "stage": 1}, {"stage": 2}]}]


def test_events_that_nobody_knows_are_kept_beside_the_blocks() -> None:
    known = gathered(("ping", {}), ("x_event", {"note": "n", "delta": {"text": "t"}}), (DELTA, {"index": 0, "delta": "odd"}))
    assert known.other() == {"note": "n", "delta": [{"text": "t"}, "odd"]}
    assert known.content() == []


def test_more_blocks_than_an_answer_has_are_an_error() -> None:
    room = Room()
    known = Gathered(room)
    for index in range(MAX_BLOCKS):
        known.add(*begun(index, **TEXT), None)
    room.verify()
    known.add(*begun(MAX_BLOCKS, **TEXT), None)
    assert len(known.content()) == MAX_BLOCKS + 1, "it was delivered, so the record has it"
    with pytest.raises(UpstreamError):
        room.verify()


def test_only_blocks_of_text_are_recorded_as_one_text() -> None:
    assert recorded_content([{**TEXT, "text": "a"}, {**TEXT, "text": "b"}]) == ("ab", "ab")
    named = [{**TEXT, "text": "a", "citations": ["x"]}]
    assert recorded_content(named) == (named, "a")
    for odd in ({"type": "x_score", "score": 5}, {"type": "tool_use", "input": {"amount": 5}}, 5):
        assert recorded_content([odd]) == ([odd], "")
