"""For any sequence of events that a server may send, each delivered text, name and argument stands in the record."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kit.event_stream import Event
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.chat_stream import DONE
from app.upstream.protocol.completions import COMPLETIONS
from app.upstream.protocol.messages import MESSAGES
from app.upstream.protocol.plain_answer import read_plain
from app.upstream.protocol.responses import RESPONSES
from app.upstream.protocol.stream_reader import StreamReader

from ..support.examples import examples
from ..support.odd_events import (
    CHAT_MESSAGES,
    CHUNKS,
    INDICES,
    MESSAGE_EVENTS,
    NOT_SAID,
    ODD,
    OUTPUTS,
    PLAIN_CHATS,
    PLAIN_MESSAGES,
    TEXTS,
    TYPED_EVENTS,
    missing,
    with_repeated_members,
)

NO_ITEM_IDS = NOT_SAID | {"id"}
"""A response that is only text is recorded as that text."""


def event_of(document: Any) -> Event:
    return Event(b"", json.dumps(document).encode())


def delivered_by(reader: StreamReader, documents: list[Any]) -> list[Any]:
    """What the caller sees of a stream of these documents so far."""
    events = [event for document in documents for event in reader.feed(event_of(document))]
    reader.mark_delivered()
    return [json.loads(event.data) for event in events]


def stored(*values: Any) -> Any:
    """As they are read from a stored record."""
    return json.loads(orjson.dumps(values))


@examples(400)
@given(st.lists(CHUNKS, max_size=6))
def test_of_a_chat_that_broke_off(chunks: list[Any]) -> None:
    reader = CHAT.reader("alias", True)
    seen = delivered_by(reader, chunks)
    assert missing(seen, stored(reader.delivered(), reader.other())) == []


@examples(400)
@given(st.lists(CHUNKS, max_size=6), CHAT_MESSAGES)
def test_of_a_whole_chat(chunks: list[Any], last: Any) -> None:
    reader = CHAT.reader("alias", True)
    end = {"choices": [{"index": 0, "delta": last, "finish_reason": "stop"}]}
    seen = delivered_by(reader, [*chunks, end])
    reader.feed(DONE)
    completion = reader.completion()
    seen.append(json.loads(reader.held_back().last.data))
    assert missing(seen, stored(completion.answer, completion.other)) == []


@given(st.lists(st.text(max_size=3), min_size=1, max_size=9), st.sampled_from(["content", "reasoning_content", "arguments"]))
def test_pieces_of_a_text_stand_there_joined(pieces: list[str], name: str) -> None:
    deltas = [{"tool_calls": [{"index": 0, "function": {name: one}}]} if name == "arguments" else {name: one} for one in pieces]
    reader = CHAT.reader("alias", False)
    delivered_by(reader, [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas])
    assert missing(["".join(pieces)], stored(reader.delivered())) == []


@examples(400)
@given(PLAIN_CHATS)
def test_of_a_plain_chat(document: Any) -> None:
    completion = read_plain(CHAT, json.dumps(document).encode(), "alias", wants_text=False).completion
    assert missing(document, stored(completion.answer, completion.other)) == []


@given(st.fixed_dictionaries({"output": OUTPUTS}, optional={"output_text": TEXTS}))
def test_of_a_plain_response(document: Any) -> None:
    completion = read_plain(RESPONSES, json.dumps(document).encode(), "alias", wants_text=False).completion
    assert missing(document, stored(completion.answer, completion.other), NO_ITEM_IDS) == []


@given(PLAIN_CHATS)
def test_of_a_plain_answer_that_repeats_a_member(document: Any) -> None:
    event = with_repeated_members(document, "<first>")
    told = ["<first>"] if b"<first>" in event.data else []
    completion = read_plain(CHAT, event.data, "alias", wants_text=False).completion
    assert missing([told, json.loads(event.data)], stored(completion.answer, completion.other)) == []


@examples(400)
@given(st.lists(TYPED_EVENTS, max_size=6))
def test_of_a_response_that_broke_off(events: list[Any]) -> None:
    reader = RESPONSES.reader("alias", True)
    seen = delivered_by(reader, events)
    assert missing(without_echo(seen), stored(reader.delivered()), NO_ITEM_IDS) == []


@examples(400)
@given(st.lists(TYPED_EVENTS, min_size=1, max_size=6), OUTPUTS)
@pytest.mark.slow
def test_of_a_whole_response(events: list[Any], output: list[Any]) -> None:
    reader = RESPONSES.reader("alias", True)
    end = {"type": "response.completed", "response": {"output": output}}
    seen = [*delivered_by(reader, events), end]
    reader.feed(event_of(end))
    assert missing(without_echo(seen), stored(reader.completion().answer), NO_ITEM_IDS) == []


@given(st.lists(MESSAGE_EVENTS, max_size=6))
def test_of_a_message_that_broke_off(events: list[Any]) -> None:
    reader = MESSAGES.reader("alias", True)
    seen = delivered_by(reader, events)
    assert missing(seen, stored(reader.delivered(), reader.other())) == []


@given(st.lists(MESSAGE_EVENTS, max_size=6), ODD)
def test_of_a_whole_message(events: list[Any], last: Any) -> None:
    reader = MESSAGES.reader("alias", True)
    begun, end = {"type": "message_start", "message": {"content": []}}, {"type": "message_stop", "x_more": last}
    seen = [*delivered_by(reader, [begun, *events]), end]
    reader.feed(event_of(end))
    completion = reader.completion()
    assert missing(seen, stored(completion.answer, completion.other)) == []


@given(PLAIN_MESSAGES)
def test_of_a_plain_message(document: Any) -> None:
    completion = read_plain(MESSAGES, json.dumps(document).encode(), "alias", wants_text=False).completion
    assert missing(document, stored(completion.answer, completion.other)) == []


@given(st.lists(st.tuples(MESSAGE_EVENTS, st.booleans()), max_size=4))
def test_of_message_events_that_repeat_a_member(events: list[Any]) -> None:
    reader = MESSAGES.reader("alias", True)
    given = [with_repeated_members(event, "<first>") if is_odd else event_of(event) for event, is_odd in events]
    seen = [event for one in given for event in reader.feed(one)]
    reader.mark_delivered()
    told = ["<first>"] if any(b"<first>" in event.data for event in seen) else []
    assert missing([told, *(json.loads(event.data) for event in seen)], stored(reader.delivered(), reader.other())) == []


@given(st.lists(st.text(max_size=3), min_size=1, max_size=9), st.sampled_from(["text", "thinking", "partial_json", "signature"]))
def test_pieces_of_a_block_stand_there_joined(pieces: list[str], name: str) -> None:
    deltas = [{"type": "content_block_delta", "index": 0, "delta": {"type": "x", name: one}} for one in pieces]
    reader = MESSAGES.reader("alias", False)
    delivered_by(reader, deltas)
    assert missing(["".join(pieces)], stored(reader.delivered())) == []


@given(st.lists(st.fixed_dictionaries({"text": TEXTS, "index": INDICES}), min_size=1, max_size=5))
def test_of_the_older_completions(choices: list[Any]) -> None:
    reader = COMPLETIONS.reader("alias", False)
    seen = delivered_by(reader, [{"choices": [choice]} for choice in choices])
    assert missing(seen, stored(reader.delivered(), reader.other())) == []
    plain = read_plain(COMPLETIONS, json.dumps({"choices": choices}).encode(), "alias", wants_text=False).completion
    assert missing(choices, stored(plain.answer, plain.other)) == []


@given(st.lists(st.tuples(CHUNKS, st.sampled_from(["<first>", "<once>", ""])), max_size=4))
def test_of_chunks_that_repeat_a_member(chunks: list[Any]) -> None:
    """Parsers disagree about which of the two counts."""
    reader = CHAT.reader("alias", True)
    events = [with_repeated_members(chunk, first) if first else event_of(chunk) for chunk, first in chunks]
    seen = [event for one in events for event in reader.feed(one)]
    reader.mark_delivered()
    told = [first for first in ("<first>", "<once>") if any(first.encode() in event.data for event in seen)]
    assert missing([told, *(json.loads(event.data) for event in seen)], stored(reader.delivered(), reader.other())) == []


@given(st.lists(st.tuples(TYPED_EVENTS, st.booleans()), max_size=4))
def test_of_typed_events_that_repeat_a_member(events: list[Any]) -> None:
    reader = RESPONSES.reader("alias", True)
    given = [with_repeated_members(event, "<first>") if is_odd else event_of(event) for event, is_odd in events]
    seen = [event for one in given for event in reader.feed(one)]
    reader.mark_delivered()
    told = ["<first>"] if any(b"<first>" in event.data for event in seen) else []
    assert (
        missing([told, *without_echo([json.loads(event.data) for event in seen])], stored(reader.delivered()), NO_ITEM_IDS) == []
    )


def without_echo(events: list[Any]) -> list[Any]:
    """Of a response in an event, only the output was not asked for."""
    responses = [event.get("response") for event in events]
    outputs = [one.get("output") if isinstance(one, dict) else one for one in responses]
    return [{**event, "response": output} for event, output in zip(events, outputs, strict=True)]


NUMBERS = (70017, 7.25, True)
"""In place of a text: a client that appends it to a text shows it."""


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_is_streamed_in_place_of_a_text(number: float) -> None:
    block = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": number}}
    streams: dict[Any, list[Any]] = {
        CHAT: [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in ("a", number)],
        COMPLETIONS: [{"choices": [{"index": 0, "text": text}]} for text in ("a", number)],
        MESSAGES: [{"type": "message_start", "message": {"content": []}}, block],
        RESPONSES: [{"type": "response.output_text.delta", "delta": text} for text in ("a", number)],
    }
    for endpoint, documents in streams.items():
        reader = endpoint.reader("alias", True)
        delivered_by(reader, documents)
        assert json.dumps(number) in json.dumps(stored(reader.delivered(), reader.other())), endpoint.path


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_in_place_of_a_text_of_a_plain_answer(number: float) -> None:
    answers: dict[Any, Any] = {
        CHAT: {"choices": [{"message": {"content": number}}]},
        COMPLETIONS: {"choices": [{"text": number}]},
        MESSAGES: {"content": [{"type": "text", "text": number}]},
        RESPONSES: {"output": [{"type": "message", "content": [{"type": "output_text", "text": number}]}]},
    }
    for endpoint, document in answers.items():
        completion = read_plain(endpoint, json.dumps(document).encode(), "alias", wants_text=False).completion
        assert json.dumps(number) in json.dumps(stored(completion.answer, completion.other)), endpoint.path
