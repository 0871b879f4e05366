"""The stream of /messages: what is passed on, what waits for the receipt, what the record holds."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from app.errors import UpstreamError
from app.kit.event_stream import Event
from app.upstream.completion import Completion, Usage
from app.upstream.protocol.messages import MESSAGES
from app.upstream.protocol.messages_stream import MessagesReader
from app.upstream.protocol.stream_reader import StreamEnd


def event(kind: str, **members: Any) -> Event:
    return Event(kind.encode(), orjson.dumps({"type": kind, **members}))


def begun(**message: Any) -> Event:
    known: dict[str, Any] = {"id": "msg_1", "role": "assistant", "content": [], "model": "small-1", "stop_reason": None}
    return event("message_start", message={**known, "usage": {"input_tokens": 3, "output_tokens": 1}, **message})


def text(piece: str) -> Event:
    return event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})


BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
CHANGED = event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage={"output_tokens": 5})
STOP = event("message_stop")


def read(*events: Event) -> tuple[MessagesReader, list[Event]]:
    reader = MESSAGES.reader("alias", True)
    passed_on = [one for event in events for one in reader.feed(event)]
    reader.mark_delivered()
    return reader, passed_on


def test_events_pass_unchanged_and_message_stop_is_held_back() -> None:
    events = [begun(), BLOCK, event("ping"), text("Hel"), text("lo"), event("x_new", note=1), CHANGED]
    reader, passed_on = read(*events, STOP)
    assert (passed_on, reader.is_over) == (events, True)
    assert reader.held_back() == StreamEnd(STOP, {"type": "message_stop"})
    assert reader.completion() == Completion("Hello", "small-1", Usage(3, 5), answer="Hello", finish="end_turn")


def test_an_end_by_its_name_alone_is_held_back_too() -> None:
    last = Event(b"message_stop", b'{"type":"ping","note":"n"}')
    reader, passed_on = read(begun(), last)
    assert (passed_on, reader.is_over, reader.held_back().last) == ([begun()], True, last)
    assert reader.completion().other == {"note": "n"}


def test_until_it_ends_the_record_holds_what_was_passed_on() -> None:
    reader, _ = read(begun(), BLOCK, text("Hel"))
    assert (reader.delivered(), reader.other(), reader.is_over) == ("Hel", None, False)
    with pytest.raises(UpstreamError):
        reader.end()
    assert read(begun())[0].delivered() is None


def test_other_texts_of_the_message_and_of_unknown_events_are_recorded() -> None:
    changed = event("message_delta", delta={"stop_reason": "stop_sequence", "stop_sequence": "END"})
    reader, _ = read(begun(container={"id": "c"}), changed, event("x_new", note="n"), event("message_stop", note="m"))
    assert reader.completion().other == {"container": {"id": "c"}, "stop_sequence": "END", "note": ["n", "m"]}
    assert (reader.completion().answer, reader.completion().usage) == ("", Usage(3, 1))


def test_a_path_for_a_name_and_a_foreign_receipt_do_not_pass() -> None:
    reader, passed_on = read(begun(model="/srv/m.gguf"), event("ping", receipt={"seq": 1}), event("message_stop", receipt=1))
    assert orjson.loads(passed_on[0].data)["message"]["model"] == "alias"
    assert orjson.loads(passed_on[1].data) == {"type": "ping"}
    assert reader.held_back().last == STOP
    assert reader.completion().model == "alias"


def test_an_event_that_repeats_a_member_is_kept_as_it_came() -> None:
    twice = b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"no","text":"yes"}}'
    reader, passed_on = read(begun(), BLOCK, Event(b"content_block_delta", twice))
    assert passed_on[-1].data == twice
    (block,) = reader.delivered()
    assert block["events"][-1] == twice.decode()


@pytest.mark.parametrize("data", [b"", b"null", b"[DONE]", b"{}", b'{"type":7}'])
def test_what_says_nothing_is_no_error(data: bytes) -> None:
    reader, _ = read(begun(), BLOCK, text("a"), Event(b"", data), STOP)
    assert reader.completion().answer == "a"


@pytest.mark.parametrize(
    "bad",
    [
        event("error", error={"type": "overloaded_error", "message": "x"}),
        Event(b"error", b'{"message":"x"}'),
        Event(b"", b'{"error":{"message":"x"}}'),
        STOP,
    ],
    ids=["an error event", "an event named error", "OpenAI's error", "an end without an answer"],
)
def test_an_error_in_the_stream_is_an_error(bad: Event) -> None:
    with pytest.raises(UpstreamError):
        MESSAGES.reader("alias", True).feed(bad)


def test_what_the_cache_took_is_billed_too() -> None:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 40, "cache_creation_input_tokens": 5, "output_tokens": 1}
    reader, _ = read(begun(usage=usage), BLOCK, text("Hi"), CHANGED, STOP)
    assert reader.completion().usage == Usage(3, 5, (45, 0), 40, 5)
