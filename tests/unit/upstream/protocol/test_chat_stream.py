"""The chunks of a chat stream: what is passed on, what waits for the receipt, what the record holds."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from app.errors import UpstreamError
from app.kit.event_stream import Event
from app.upstream.completion import Usage
from app.upstream.protocol.chat import CHAT
from app.upstream.protocol.chat_stream import DONE, ChatReader
from app.upstream.protocol.stream_reader import StreamEnd

from ....support.tables import for_each

USAGE = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def chunk(*choices: dict[str, Any], **members: Any) -> Event:
    return Event(b"", orjson.dumps({"id": "c", "object": "chat.completion.chunk", "choices": list(choices), **members}))


def says(content: str, index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": {"content": content, **delta}, "finish_reason": finish}


def read(*events: Event, wants_usage: bool = False) -> tuple[ChatReader, list[Event]]:
    reader = CHAT.reader("alias", wants_usage)
    given = [one for event in events for one in reader.feed(event)]
    reader.mark_delivered()
    return reader, given


def test_only_the_chunk_with_a_finish_reason_is_held_back() -> None:
    first, second, last = chunk(says("Hel")), chunk(says("lo")), chunk(says("", finish="stop"))
    reader, given = read(first, second, last, DONE)
    assert (given, reader.is_over) == ([first, second], True)
    assert reader.held_back() == StreamEnd(last, orjson.loads(last.data), (DONE,))
    assert (reader.completion().answer, reader.completion().finish, reader.delivered()) == ("Hello", "stop", "Hello")


def test_text_in_the_chunk_that_waits_is_not_delivered_yet() -> None:
    reader, given = read(chunk(says("Hel")), chunk(says("lo", finish="stop")), DONE)
    assert len(given) == 1
    assert (reader.delivered(), reader.held_text, reader.completion().text) == ("Hel", "lo", "Hello")


def test_a_chunk_that_follows_releases_the_one_that_waits() -> None:
    """Two choices end in turn."""
    one, two = chunk(says("a", finish="stop")), chunk(says("b", 1, finish="length"))
    reader, given = read(one, two, DONE)
    assert given == [one]
    assert (reader.completion().answer, reader.completion().finish) == (["a", "b"], ["stop", "length"])


@pytest.mark.parametrize("wanted", [False, True])
def test_a_usage_chunk_is_for_the_record_and_for_callers_who_asked(wanted: bool) -> None:
    finish, usage = chunk(says("", finish="stop")), chunk(usage=USAGE)
    reader, given = read(chunk(says("a")), finish, usage, DONE, wants_usage=wanted)
    assert given[1:] == ([finish] if wanted else [])
    assert reader.completion().usage == Usage(3, 5)
    assert ("usage" in orjson.loads(reader.held_back().last.data)) == wanted


def test_a_first_chunk_without_choices_goes_on() -> None:
    """Azure begins with its verdict on the prompt."""
    verdict = chunk(prompt_filter_results=[{"prompt_index": 0}])
    reader, given = read(verdict, chunk(says("a", finish="stop")), DONE)
    assert given == [verdict]
    assert reader.completion().answer == "a"


def test_tool_calls_and_reasoning_are_merged_for_the_record() -> None:
    def part(**members: Any) -> dict[str, Any]:
        return {"index": 0, "delta": members, "finish_reason": None}

    reader, _ = read(
        chunk(part(role="assistant", content=None, reasoning_content="I ")),
        chunk(part(reasoning_content="think")),
        chunk(part(tool_calls=[{"index": 0, "id": "t1", "type": "function", "function": {"name": "w", "arguments": ""}}])),
        chunk(part(tool_calls=[{"index": 1, "id": "t2", "type": "function", "function": {"name": "v", "arguments": "{}"}}])),
        chunk(part(tool_calls=[{"index": 0, "function": {"arguments": '{"city":'}}])),
        chunk(part(tool_calls=[{"index": 0, "function": {"arguments": '"Rome"}'}}])),
        chunk({"index": 0, "delta": {}, "finish_reason": "tool_calls"}),
        DONE,
    )
    assert reader.completion().answer == {
        "reasoning_content": "I think",
        "tool_calls": [
            {"index": 0, "id": "t1", "type": "function", "function": {"name": "w", "arguments": '{"city":"Rome"}'}},
            {"index": 1, "id": "t2", "type": "function", "function": {"name": "v", "arguments": "{}"}},
        ],
    }


def test_a_path_of_the_servers_machine_is_replaced_by_the_alias() -> None:
    reader, given = read(
        chunk(says("a"), model="/srv/secret.gguf"), chunk(says("", finish="stop"), model="/srv/secret.gguf"), DONE
    )
    told = b"".join(event.data for event in [*given, reader.held_back().last])
    assert b"/srv" not in told
    assert told.count(b'"model":"alias"') == 2
    assert reader.completion().model == "alias"


@pytest.mark.parametrize("foreign", [{"seq": 1, "hash": "b" * 64}, None])
def test_a_receipt_of_another_service_like_ours_is_removed(foreign: Any) -> None:
    first, last = chunk(says("a"), receipt=foreign), chunk(says("", finish="stop"), receipt=foreign)
    reader, given = read(first, last, DONE)
    end = reader.held_back()
    assert b"receipt" not in b"".join(event.data for event in [*given, end.last])
    assert "receipt" not in end.document


@for_each(
    "data",
    [
        b"no JSON",
        b'"text"',
        b'["text"]',
        b'{"choices": 7}',
        b'{"choices": {"0": {}}}',
        b'{"choices": [7]}',
        b'{"error": {"message": "sorry"}}',
        b'{"error": "sorry", "choices": []}',
        b'{"object": "error", "message": "sorry", "code": 500}',
        b"Internal Server Error",
        b"ping failed",
    ],
)
def test_what_is_no_chunk_is_refused(data: bytes) -> None:
    with pytest.raises((UpstreamError, ValueError, TypeError, LookupError, AttributeError)):
        read(Event(b"", data))


def test_an_event_named_error_is_one() -> None:
    with pytest.raises(UpstreamError):
        read(Event(b"error", b'{"message": "sorry"}'))


@for_each("data", [b"", b" ", b"\n", b"null", b"[]", b"7", b'""', b"[null, {}]", b"ping", b'"Ping"', b"[KEEP-ALIVE]"])
def test_an_event_with_nothing_in_it_is_skipped(data: bytes) -> None:
    reader, given = read(chunk(says("a")), Event(b"", data), Event(b"ping", data), chunk(says("b", finish="stop")), DONE)
    assert given == [chunk(says("a"))]
    assert reader.completion().answer == "ab"


@for_each(
    "data",
    [
        b"{}",
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"type": "ping"}',
        b'{"choices": [null]}',
        b'{"choices": [{}]}',
        b'{"choices": [{"index": null, "delta": null}]}',
        b'{"choices": [{"index": "0", "delta": {"content": null}}]}',
        b'{"choices": [{"index": [], "delta": {}}]}',
        b'{"choices": [{"delta": 7}]}',
        b'{"choices": [], "error": null}',
        b'{"choices": [], "model": 7}',
        b'{"choices": [{"delta": {}, "finish_reason": ""}]}',
    ],
)
def test_an_event_without_text_is_passed_on(data: bytes) -> None:
    odd = Event(b"", data)
    reader, given = read(chunk(says("a")), odd, chunk(says("b", finish="stop")), DONE)
    assert given == [chunk(says("a")), odd]
    assert (reader.completion().answer, reader.completion().finish, reader.other()) == ("ab", "stop", None)


def test_an_event_without_text_after_the_last_chunk_is_dropped() -> None:
    """The receipt goes with that chunk, and nothing but the end marker may follow it."""
    last = chunk(says("", finish="stop"))
    reader, given = read(chunk(says("a")), last, Event(b"", b"{}"), DONE)
    assert (given, reader.held_back().last) == ([chunk(says("a"))], last)


@pytest.mark.parametrize("usage", [7, "7", [], {}, {"prompt_tokens": -1, "completion_tokens": 1}, {"prompt_tokens": "3"}])
def test_an_odd_usage_costs_the_count(usage: Any) -> None:
    reader, _ = read(chunk(says("a", finish="stop")), chunk(usage=usage), DONE)
    assert (reader.completion().answer, reader.completion().usage) == ("a", None)
    reader, _ = read(chunk(usage=USAGE), chunk(says("a", finish="stop"), usage=usage), DONE)
    assert reader.completion().usage == Usage(3, 5), "a good count that came before is kept"


@pytest.mark.parametrize("events", [[], [chunk(says("a"))], [chunk(says("a", finish="stop")), chunk(says("b", 1))]])
def test_a_stream_that_ends_before_every_choice_is_incomplete(events: list[Event]) -> None:
    reader, _ = read(*events)
    with pytest.raises(UpstreamError):
        reader.end()


@pytest.mark.parametrize("depth", [65, 300])
def test_a_deeply_nested_delta_is_refused_before_it_is_passed_on(depth: int) -> None:
    deep: Any = "x"
    for _ in range(depth):
        deep = [deep] if depth == 65 else {"a": deep}
    with pytest.raises(ValueError):
        CHAT.reader("alias", False).feed(Event(b"", json.dumps({"choices": [{"index": 0, "delta": {"odd": deep}}]}).encode()))


def test_too_many_choices_are_refused() -> None:
    with pytest.raises(UpstreamError):
        read(chunk(*({"index": number, "delta": {}} for number in range(129))))


THINKING = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]


def test_content_may_be_a_list_of_parts() -> None:
    """Mistral's reasoning models."""
    reader, given = read(
        chunk({"index": 0, "delta": {"role": "assistant", "content": THINKING}}),
        chunk({"index": 0, "delta": {"content": THINKING}}),
        chunk({"index": 0, "delta": {"content": [{"type": "text", "text": "fo"}]}}),
        chunk(says("ur", finish="stop")),
        DONE,
    )
    assert len(given) == 3
    answer = reader.completion()
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hmhm"}]}
    assert (answer.text, answer.answer) == ("four", {"content": [thinking, {"type": "text", "text": "fo"}, "ur"]})


def test_each_feed_says_what_text_the_caller_of_ask_sees() -> None:
    reader = CHAT.reader("alias", False)
    reader.feed(chunk({"index": 0, "delta": {"content": [*THINKING, {"type": "text", "text": "fo"}]}}))
    assert reader.text == "fo"
    reader.feed(chunk({"index": 1, "delta": {"content": "x"}}))
    assert reader.text == "", "only the first choice is shown"


def test_a_message_may_stand_in_place_of_a_delta() -> None:
    def whole(content: str, finish: str | None = None) -> Event:
        return chunk({"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish})

    reader, _ = read(whole("a"), whole("b", "stop"), DONE)
    assert reader.completion().answer == "ab"


def test_a_message_beside_a_delta_is_recorded_if_it_says_more() -> None:
    """Perplexity repeats what there is so far."""

    def piece(content: str, so_far: str) -> Event:
        return chunk({"index": 0, "delta": {"content": content}, "message": {"content": so_far}, "finish_reason": None})

    reader, _ = read(piece("a", "a"), piece("b", "ab"), DONE)
    assert (reader.completion().answer, reader.completion().other) == ("ab", None)
    reader, _ = read(piece("a", "a"), piece("b", "other"), DONE)
    assert reader.completion().other == {"choices[0].message": [{"content": "a"}, {"content": "other"}]}


def test_texts_beside_the_message_are_recorded() -> None:
    first = chunk(says("a"), citations=["https://a.example"], provider="P", timings={"ms": 7})
    second = chunk({**says("b", finish="stop"), "note": "n"}, citations=["https://a.example", "https://b.example"], provider="P")
    reader, _ = read(first, second, DONE)
    assert reader.other() == {"citations": ["https://a.example"], "provider": "P"}, "of what was delivered"
    assert reader.completion().answer == "ab"
    assert reader.completion().other == {
        "citations": ["https://a.example", "https://b.example"],
        "provider": "P",
        "choices[0].note": "n",
    }


@pytest.mark.parametrize("delta", ["text", ["text"], [{"content": "text"}]])
def test_a_delta_that_is_no_object_is_recorded_too(delta: Any) -> None:
    reader, given = read(chunk({"index": 0, "delta": delta}), chunk(says("a", finish="stop")), DONE)
    assert len(given) == 1
    assert reader.completion().other == {"choices[0].delta": delta}


def test_half_an_emoji_is_passed_on_and_recorded() -> None:
    def half(text: str, finish: str | None = None) -> Event:
        return Event(b"", json.dumps({"choices": [says(text, finish=finish)]}).encode())

    reader, given = read(half("hi \ud83d"), half("\ude00 there \ud83d", "stop"), DONE)
    assert given == [half("hi \ud83d")]
    assert reader.delivered() == "hi \\ud83d"
    assert reader.completion().answer == "hi 😀 there \\ud83d"


def test_an_event_that_repeats_a_member_is_kept_as_it_came() -> None:
    odd = b'{"choices":[{"index":0,"delta":{"content":"good","content":"bad"}}]}'
    reader, given = read(chunk(says("a")), Event(b"", odd), chunk(says("", finish="stop")), DONE)
    assert given[1] == Event(b"", odd)
    assert reader.completion().answer == {"content": "abad", "events": [{"content": "abad"}, odd.decode(), {"content": ""}]}
