"""How a stream is written: its headers with the first write, its end once, and an error in place of the end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest
from fastapi import Request
from starlette.types import Message

from app.api.context import request_context
from app.api.streams import ERROR_EVENT_GRACE_SECONDS, AskStreamSink, EventStream, EventStreamSink, V1StreamSink
from app.audit.format.record import Receipt
from app.errors import ClientGone, Overloaded, UpstreamError
from app.kit.event_stream import Event
from app.upstream.completion import Completion, Usage
from app.upstream.protocol.stream_reader import StreamEnd, StreamReader

from ...support.asking import prepared
from ...support.http_request import DISCONNECT, REQUEST_ID, FakeApp, request_of, run
from ...support.virtual_time import simulate

RECEIVED, ANSWERED = Receipt(41, "ab" * 32), Receipt(42, "cd" * 32)
COMPLETION = Completion("Paris.", "small-1", Usage(3, 4))
READER = cast(
    StreamReader,
    SimpleNamespace(held_text="s.", held_back=lambda: StreamEnd(Event(b"", b'{"id":1}'), {"id": 1}, (Event(b"", b"[DONE]"),))),
)
Ask = Callable[[EventStreamSink, "asyncio.Future[None]"], Awaitable[None]]


def written(kind: type[EventStreamSink], ask: Ask, request: Request | None = None) -> list[Message]:
    """What the server was given to send."""
    request = request or request_of("/v1/x" if kind is V1StreamSink else "/ask", body=[])
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    run(EventStream(request, partial(kind, call=prepared()), ask)(request.scope, request.receive, send))
    return messages


def body_in(messages: list[Message]) -> bytes:
    return b"".join(one["body"] for one in messages[1:])


async def whole(sink: EventStreamSink, _: object) -> None:
    sink.name(RECEIVED)
    await sink.write(sink.encode([Event(b"", b'{"id":0}')], "Pari"))
    await sink.keep_alive()
    await sink.end(READER, COMPLETION, ANSWERED)


@pytest.mark.parametrize("kind", [AskStreamSink, V1StreamSink])
def test_the_first_write_sends_the_headers_which_name_the_received_record(kind: type[EventStreamSink]) -> None:
    start, *bodies = written(kind, whole)
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert dict(start["headers"]) == {
        b"content-type": b"text/event-stream; charset=utf-8",
        b"cache-control": b"no-store",
        b"x-accel-buffering": b"no",
        b"x-audit-seq": b"41",
        b"x-audit-hash": b"ab" * 32,
    }
    assert [one.get("more_body", False) for one in bodies] == [True, True, False]


def test_a_v1_stream_is_the_upstreams_with_the_receipt_at_its_end() -> None:
    assert body_in(written(V1StreamSink, whole)) == (
        b'data: {"id":0}\n\n: keep-alive\n\ndata: {"id":1,"receipt":{"seq":42,"hash":"' + b"cd" * 32 + b'"}}\n\ndata: [DONE]\n\n'
    )


def test_an_ask_stream_is_deltas_and_then_the_rest_of_the_answer() -> None:
    *deltas, done = body_in(written(AskStreamSink, whole)).removesuffix(b"\n\n").split(b"\n\n")
    assert deltas == [b'event: delta\ndata: {"text":"Pari"}', b": keep-alive", b'event: delta\ndata: {"text":"s."}']
    assert orjson.loads(done.removeprefix(b"event: done\ndata: ")) == {
        "model": "small-1",
        "usage": {"input_tokens": 3, "output_tokens": 4},
        "request_id": REQUEST_ID,
        "receipt": {"seq": 42, "hash": "cd" * 32},
    }


def test_events_without_text_are_nothing_at_ask() -> None:
    async def ask(sink: EventStreamSink, _: object) -> None:
        assert sink.encode([Event(b"", b"{}")], "") == b""

    written(AskStreamSink, ask)


@pytest.mark.parametrize("kind", [AskStreamSink, V1StreamSink])
def test_an_error_before_the_first_write_is_left_to_the_caller(kind: type[EventStreamSink]) -> None:
    async def ask(sink: EventStreamSink, _: object) -> None:
        sink.name(RECEIVED)
        raise Overloaded

    with pytest.raises(Overloaded):
        written(kind, ask)


@pytest.mark.parametrize(("kind", "prefix"), [(AskStreamSink, b"event: error\ndata: "), (V1StreamSink, b"data: ")])
def test_a_later_error_is_the_last_event_and_recorded_once(kind: type[EventStreamSink], prefix: bytes) -> None:
    app = FakeApp()
    request = request_of("/v1/x" if kind is V1StreamSink else "/ask", body=[], app=app)

    async def ask(sink: EventStreamSink, _: object) -> None:
        await sink.begin()
        raise UpstreamError

    messages = written(kind, ask, request)
    assert [one.get("more_body", False) for one in messages] == [False, False]
    document = orjson.loads(body_in(messages).removeprefix(prefix))
    assert (document.get("error") or document)["code"] == "upstream_error"
    assert [one["details"]["code"] for one in app.records] == ["upstream_error"]
    assert request_context(request).origin.terminal_record.is_written


def test_a_caller_who_is_gone_gets_no_error_event() -> None:
    app = FakeApp()

    async def ask(sink: EventStreamSink, _: object) -> None:
        await sink.begin()
        raise ClientGone

    messages = written(AskStreamSink, ask, request_of(body=[], app=app))
    assert [one["type"] for one in messages] == ["http.response.start"]
    assert [one["details"]["code"] for one in app.records] == ["client_gone"]


def test_who_does_not_read_the_error_event_is_waited_for_briefly() -> None:
    request = request_of(body=[])

    async def ask(sink: EventStreamSink, _: object) -> None:
        await sink.begin()
        raise UpstreamError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(3600)

    async def seconds() -> float:
        begun = asyncio.get_running_loop().time()
        await EventStream(request, partial(AskStreamSink, call=prepared()), ask)(request.scope, request.receive, send)
        return asyncio.get_running_loop().time() - begun

    assert simulate(seconds()) == pytest.approx(ERROR_EVENT_GRACE_SECONDS, abs=0.1)


def test_a_stream_that_has_begun_its_end_leaves_no_other_record() -> None:
    """Its record is durable by then, whatever becomes of the last write."""
    request = request_of(body=[])

    async def broken_send(message: Message) -> None:
        raise OSError

    async def end() -> None:
        await AskStreamSink(request, broken_send, prepared()).end(READER, COMPLETION, ANSWERED)

    with pytest.raises(OSError):
        run(end())
    assert request_context(request).origin.terminal_record.is_written


def test_the_work_of_a_stream_learns_of_a_disconnect() -> None:
    async def ask(_: Any, disconnected: asyncio.Future[None]) -> None:
        await disconnected

    assert written(AskStreamSink, ask, request_of(body=[DISCONNECT])) == []
