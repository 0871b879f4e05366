"""The stream of /responses: what is passed on, what waits for the receipt, what the record holds."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.errors import UpstreamError
from app.kit.event_stream import Event
from app.upstream.protocol.responses import RESPONSES
from app.upstream.protocol.responses_members import TEXT
from app.upstream.protocol.responses_stream import ResponsesReader
from app.upstream.protocol.stream_reader import StreamEnd

from ....support.tables import for_each

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


def test_other_deltas_are_recorded_by_their_kind_and_place() -> None:
    kind = "response.function_call_arguments.delta"
    reader, _ = read(event(TEXT, delta="a"), *(event(kind, output_index=1, delta=part) for part in ("{", "}")))
    assert reader.delivered() == {TEXT: "a", f"{kind} 1": "{}"}
    begun = event("response.output_item.added", output_index=1, item={**CALL, "arguments": ""})
    reader, _ = read(event(TEXT, delta="a"), begun, *(event(kind, output_index=1, delta=part) for part in ("{", "}")))
    assert reader.delivered() == {TEXT: "a", f"{kind} 1": "{}", "response.output_item 1": {"item": {**CALL, "arguments": ""}}}


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


@for_each(
    "bad",
    [
        Event(b"", b"no JSON"),
        Event(b"", b'["text"]'),
        Event(b"error", b'{"message": "sorry"}'),
        event("response.failed"),
        event("error"),
        event(TEXT, error={"message": "sorry"}),
        event("response.completed"),
        event("response.completed", response={}),
        event("response.completed", response={"output": {}}),
        event("response.completed", response=document(MESSAGE, status="failed")),
        event("response.completed", response=document(MESSAGE, error={"code": "server_error"})),
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


@pytest.mark.parametrize("data", [b"", b" ", b"null", b"[]", b"7"])
def test_an_event_with_nothing_in_it_is_skipped(data: bytes) -> None:
    reader, passed_on = read(Event(b"ping", data), event("response.completed", response=document(MESSAGE)))
    assert (passed_on, reader.completion().answer) == ([], "Hello")


@pytest.mark.parametrize("data", [b"{}", b'{"type": "ping"}', b'{"type": null, "error": null}'])
def test_an_event_without_text_is_passed_on(data: bytes) -> None:
    reader, passed_on = read(Event(b"", data), event("response.completed", response=document(MESSAGE)))
    assert (passed_on, reader.completion().answer) == ([Event(b"", data)], "Hello")


def test_the_type_of_an_event_may_be_its_name_only() -> None:
    reader, _ = read(Event(b"response.completed", orjson.dumps({"response": document(MESSAGE)})))
    assert reader.completion().answer == "Hello"


DELTAS = [event(TEXT, output_index=0, content_index=0, item_id="m", delta=piece) for piece in ("Hel", "lo")]


DONE = [
    event("response.output_text.done", output_index=0, content_index=0, item_id="m", text="Hello"),
    event("response.output_item.done", output_index=0, item=MESSAGE),
]


CALLED = [
    event("response.output_item.added", output_index=1, item={**CALL, "arguments": ""}),
    event("response.function_call_arguments.delta", output_index=1, item_id="f", delta="{}"),
    event("response.output_item.done", output_index=1, item=CALL),
]


def completed(*output: Any, **members: Any) -> Event:
    return event("response.completed", response=document(*output, **members))


@pytest.mark.parametrize("last", [completed(), event("response.completed", response={}), event("response.completed")])
def test_an_empty_output_leaves_what_was_streamed(last: Event) -> None:
    """ChatGPT's Codex backend, with `store: false`."""
    assert read(*DELTAS, *DONE, last)[0].completion().answer == "Hello"
    assert read(*DELTAS, last)[0].completion().answer == "Hello"
    assert read(*DELTAS, *DONE, *CALLED, last)[0].completion().answer == [MESSAGE, CALL]
    assert read(*CALLED[:2], last)[0].completion().answer == {
        "response.function_call_arguments.delta 1": "{}",
        "response.output_item 1": {"item": {**CALL, "arguments": ""}},
    }


def test_an_output_with_all_that_was_streamed_is_enough() -> None:
    assert read(*DELTAS, *DONE, completed(MESSAGE))[0].completion().answer == "Hello"
    assert read(*DELTAS, *DONE, *CALLED, completed(MESSAGE, CALL))[0].completion().answer == [MESSAGE, CALL]


def test_an_output_that_differs_is_kept_beside_what_was_streamed() -> None:
    other = {"type": "message", "content": [{"type": "output_text", "text": "Goodbye"}]}
    assert read(*DELTAS, *DONE, completed(other))[0].completion().answer == {"output": [other], "events": "Hello"}
    assert read(*DELTAS, *DONE, *CALLED, completed(MESSAGE))[0].completion().answer == {
        "output": [MESSAGE],
        "events": [MESSAGE, CALL],
    }
    assert read(*DELTAS, *DONE[:1], event("response.output_item.done", output_index=0, item=other), completed(other))[
        0
    ].completion().answer == {"output": [other], "events": {TEXT: "Hello", "response.output_item 0": {"item": other}}}


def test_texts_of_several_places_are_told_apart() -> None:
    pieces = [
        event(TEXT, output_index=at, item_id=f"m{at}", delta=piece) for at, piece in ((0, "a"), (1, "1"), (0, "b"), (1, "2"))
    ]
    assert read(*pieces)[0].delivered() == {TEXT: "ab", f"{TEXT} 1 m1": "12"}
    same = [event(TEXT, output_index=0, item_id=item, delta=piece) for item, piece in (("m", "a"), ("n", "1"), ("m", "b"))]
    assert read(*same)[0].delivered() == {TEXT: "ab", f"{TEXT} 0 n": "1"}


def test_citations_are_recorded_with_their_text() -> None:
    cited = {
        "type": "message",
        "content": [{"type": "output_text", "text": "Hello", "annotations": [{"url": "https://a.example"}]}],
    }
    noted = event("response.output_text.annotation.added", output_index=0, annotation={"url": "https://a.example"})
    assert read(*DELTAS, noted, completed(cited))[0].completion().answer == [cited]
    assert read(*DELTAS, noted, completed(MESSAGE))[0].completion().answer["output"] == [MESSAGE]


def test_an_event_that_repeats_a_member_is_kept_as_it_came() -> None:
    odd = f'{{"type":"{TEXT}","delta":"good","delta":"bad"}}'
    answer = read(Event(b"", odd.encode()), completed())[0].completion().answer
    assert answer == {TEXT: "bad", "raw": [odd]}


def test_half_an_emoji_is_recorded() -> None:
    pieces = [Event(b"", f'{{"type":"{TEXT}","delta":"{half}"}}'.encode()) for half in ("hi \\ud83d", "\\ude00")]
    reader, passed_on = read(*pieces, completed())
    assert (passed_on, reader.completion().answer) == (pieces, "hi 😀")
