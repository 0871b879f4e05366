"""The chunks of a chat stream: what is passed on, what waits for the receipt, what the record holds."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from app.errors import UpstreamError
from app.kit.event_stream import Event
from app.upstream.completion import Usage
from app.upstream.protocol.chat import CHAT, DONE, ChatReader
from app.upstream.protocol.stream_reader import StreamEnd

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


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"choices": 7}',
        b'{"choices": [7]}',
        b'{"choices": [{"delta": 7}]}',
        b'{"choices": [{"delta": {"content": 7}}]}',
        b'{"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 1}}',
        b'{"choices": [], "model": 7}',
        b'{"choices": [{"index": [], "delta": {}}]}',
        b'{"error": {"message": "sorry"}}',
    ],
)
def test_what_is_no_chunk_is_refused(data: bytes) -> None:
    with pytest.raises((UpstreamError, ValueError, TypeError, LookupError, AttributeError)):
        read(Event(b"", data))


@pytest.mark.parametrize("events", [[], [chunk(says("a"))], [chunk(says("a", finish="stop")), chunk(says("b", 1))]])
def test_a_stream_that_ends_before_every_choice_is_incomplete(events: list[Event]) -> None:
    reader, _ = read(*events)
    with pytest.raises(UpstreamError):
        reader.end()


def test_too_many_tool_calls_are_refused() -> None:
    reader = CHAT.reader("alias", False)
    with pytest.raises(ValueError):
        read_into(reader, [{"index": 0, "delta": {"tool_calls": [{"index": number} for number in range(20_000)]}}])


@pytest.mark.parametrize("depth", [60, 300])
def test_a_deeply_nested_delta_is_refused(depth: int) -> None:
    deep: Any = "x"
    for _ in range(depth):
        deep = [deep] if depth == 60 else {"a": deep}
    with pytest.raises(ValueError):
        read_into(CHAT.reader("alias", False), [{"index": 0, "delta": {"odd": deep}}])


def read_into(reader: ChatReader, choices: list[dict[str, Any]]) -> None:
    reader.feed(Event(b"", json.dumps({"choices": choices}).encode()))
    reader.mark_delivered()
