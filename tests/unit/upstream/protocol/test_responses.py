"""The answer of /responses, plain and as a stream of typed events."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.errors import UpstreamError
from app.kit.event_stream import Event
from app.upstream.completion import Usage
from app.upstream.protocol.responses import RESPONSES, TEXT, ResponsesReader
from app.upstream.protocol.stream_reader import StreamEnd

MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
CALL = {"type": "function_call", "call_id": "c", "name": "weather", "arguments": "{}"}


def document(*output: Any, **members: Any) -> dict[str, Any]:
    return {"model": "small-1", "status": "completed", "output": list(output), **members}


def event(kind: str, **members: Any) -> Event:
    return Event(kind.encode(), orjson.dumps({"type": kind, **members}))


def read(*events: Event) -> tuple[ResponsesReader, list[Event]]:
    reader = RESPONSES.reader("alias", True)
    passed_on = [one for event in events for one in reader.feed(event)]
    reader.mark_delivered()
    return reader, passed_on


def test_an_answer_of_text_is_recorded_as_text() -> None:
    usage = {"input_tokens": 3, "output_tokens": 5}
    answer = RESPONSES.read(document(MESSAGE, MESSAGE, usage=usage), "alias")
    assert (answer.text, answer.answer, answer.model, answer.usage, answer.finish) == (
        "HelloHello",
        "HelloHello",
        "small-1",
        Usage(3, 5),
        "completed",
    )


def test_an_answer_with_a_call_is_recorded_whole() -> None:
    answer = RESPONSES.read(document(MESSAGE, CALL), "alias")
    assert (answer.text, answer.answer) == ("Hello", [MESSAGE, CALL])


def test_an_incomplete_answer_names_the_reason() -> None:
    answer = RESPONSES.read(document(MESSAGE, status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "a")
    assert answer.finish == "max_output_tokens"


@pytest.mark.parametrize(
    "bad",
    [
        {},
        document(status="failed"),
        document(status="queued"),
        {**document(), "output": {}},
        document(7),
        document({"type": "message"}),
        document(MESSAGE, model=7),
        document(MESSAGE, usage={"input_tokens": -1, "output_tokens": 1}),
        document(MESSAGE, status="s" * 101),
    ],
)
def test_a_malformed_answer_is_refused(bad: Any) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError)):
        RESPONSES.read(bad, "alias")


def test_events_pass_unchanged_and_the_last_one_is_held_back() -> None:
    created = event("response.created", response={"model": "small-1"})
    deltas = [event(TEXT, delta="Hel"), event(TEXT, delta="lo")]
    end = event("response.completed", response=document(MESSAGE))
    reader, passed_on = read(created, *deltas, end)
    assert (passed_on, reader.is_over) == ([created, *deltas], True)
    assert reader.held_back() == StreamEnd(end, orjson.loads(end.data))
    assert (reader.completion().text, reader.delivered(), reader.held_text) == ("Hello", "Hello", "")


def test_each_feed_says_what_text_it_passed_on() -> None:
    reader = RESPONSES.reader("alias", True)
    reader.feed(event(TEXT, delta="Hel"))
    assert reader.text == "Hel"
    reader.feed(event("response.function_call_arguments.delta", output_index=1, delta="{"))
    assert reader.text == ""


def test_deltas_other_than_text_are_recorded_by_their_kind_and_place() -> None:
    kind = "response.function_call_arguments.delta"
    reader, _ = read(event(TEXT, delta="a"), *(event(kind, output_index=1, delta=part) for part in ("{", "}")))
    assert reader.delivered() == {TEXT: "a", f"{kind} 1": "{}"}


def test_what_was_not_marked_as_delivered_is_not() -> None:
    reader, _ = read(event(TEXT, delta="a"))
    reader.feed(event(TEXT, delta="b"))
    assert reader.delivered() == "a"
    assert RESPONSES.reader("alias", True).delivered() is None


def test_a_path_of_the_servers_machine_is_replaced_by_the_alias() -> None:
    response = document(MESSAGE, model="/srv/secret.gguf")
    reader, passed_on = read(event("response.created", response=response), event("response.completed", response=response))
    data = b"".join(one.data for one in [*passed_on, reader.held_back().last])
    assert b"/srv" not in data
    assert data.count(b'"model":"alias"') == 2


@pytest.mark.parametrize("foreign", [{"seq": 1, "hash": "b" * 64}, None])
def test_a_receipt_of_another_gateway_is_removed(foreign: Any) -> None:
    last = event("response.completed", response=document(MESSAGE), receipt=foreign)
    reader, passed_on = read(event(TEXT, delta="a", receipt=foreign), last)
    end = reader.held_back()
    assert b"receipt" not in b"".join(one.data for one in [*passed_on, end.last])
    assert "receipt" not in end.document


@pytest.mark.parametrize(
    "bad",
    [
        Event(b"", b""),
        Event(b"", b"[]"),
        Event(b"", b"{}"),
        event("response.failed"),
        event("error"),
        event(TEXT, error={"message": "sorry"}),
        event("response.completed"),
        event("response.completed", response={}),
    ],
)
def test_a_bad_event_is_refused(bad: Event) -> None:
    with pytest.raises((UpstreamError, ValueError, TypeError, LookupError, AttributeError)):
        read(bad)


def test_a_stream_without_its_last_event_is_incomplete() -> None:
    reader, passed_on = read(event(TEXT, delta="a"), Event(b"", b"[DONE]"))
    assert len(passed_on) == 1
    with pytest.raises(UpstreamError):
        reader.end()
