"""Server-sent events: how /ask and /v1 each write a stream, and the response that carries it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from ..assistant.models import Served
from ..audit.format.record import Receipt
from ..errors import AppError, ClientGone
from ..kit.event_stream import KEEP_ALIVE, Event, encode
from ..kit.foreign_json import dumps
from ..upstream.call import PreparedCall
from ..upstream.completion import Completion
from ..upstream.protocol.stream_reader import StreamReader
from .bodies import disconnect_watch
from .context import request_context
from .error_responses import stream_error_document
from .receipts import CLAMPED, call_headers, receipt_headers, served_headers, with_receipt
from .schemas import without_text

ERROR_EVENT_GRACE_SECONDS = 5.0
HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # else nginx collects the events before it sends them
}


class EventStreamSink(ABC):
    """Writes a stream to one caller. The first write sends the headers."""

    error_name = b""
    """Of the event that holds an error."""

    def __init__(self, request: Request, send: Send, call: PreparedCall) -> None:
        self._origin = request_context(request).origin
        self._send, self._call = send, call
        self._headers = HEADERS | call_headers(call)
        self.has_begun = False

    def name(self, received: Receipt) -> None:
        self._headers |= receipt_headers(received)

    def answered(self, call: PreparedCall, served: Served) -> None:
        self._call = call
        self._headers.pop(CLAMPED, None)  # of another call
        self._headers |= call_headers(call) | served_headers(served)

    async def begin(self) -> None:
        if not self.has_begun:
            self.has_begun = True
            headers = [(name.encode(), value.encode()) for name, value in self._headers.items()]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def keep_alive(self) -> None:
        await self.write(KEEP_ALIVE)

    async def write(self, data: bytes) -> None:
        await self.begin()
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _finish(self, data: bytes) -> None:
        self._origin.terminal_record.is_written = True  # a stream ends only after its record
        await self.begin()
        await self._send({"type": "http.response.body", "body": data})

    async def fail(self, document: bytes) -> None:
        """End the stream with an error event, and without the end marker."""
        await self._finish(self.encode_error(document))

    @abstractmethod
    def encode(self, events: Sequence[Event], text: str) -> bytes:
        """As `StreamSink.encode`."""

    def encode_error(self, document: bytes) -> bytes:
        """The error event for *document*, an error's JSON."""
        return encode(Event(self.error_name, document))

    @abstractmethod
    async def end(self, reader: StreamReader, completion: Completion, receipt: Receipt) -> None:
        """As `StreamSink.end`."""


class V1StreamSink(EventStreamSink):
    """/v1: the upstream's own events; the receipt is a member of the last JSON document."""

    def encode(self, events: Sequence[Event], text: str) -> bytes:
        return b"".join(map(encode, events))

    async def end(self, reader: StreamReader, completion: Completion, receipt: Receipt) -> None:
        end = reader.held_back()
        last = Event(end.last.name, with_receipt(end.last.data, end.document, receipt, self._call.asked_model))
        await self._finish(self.encode((last, *end.markers), ""))


class MessagesStreamSink(V1StreamSink):
    """/v1/messages: an error is an event of its own name."""

    error_name = b"error"


class AskStreamSink(EventStreamSink):
    """/ask: `delta` with a piece of the text, then `done` with the other members, or `error`."""

    error_name = b"error"

    def encode(self, events: Sequence[Event], text: str) -> bytes:
        return encode(Event(b"delta", dumps({"text": text}))) if text else b""

    async def end(self, reader: StreamReader, completion: Completion, receipt: Receipt) -> None:
        done = without_text(completion.model, completion.usage, self._origin.request_id, receipt, completion.stopped_by)
        await self._finish(self.encode((), reader.held_text) + encode(Event(b"done", dumps(done))))


class EventStream(Response):
    """Runs *ask* with a sink. An error before the first write becomes an ordinary response."""

    def __init__(
        self,
        request: Request,
        sink: Callable[[Request, Send], EventStreamSink],
        ask: Callable[[EventStreamSink, asyncio.Future[None]], Awaitable[None]],
    ) -> None:
        self._request, self._sink, self._ask = request, sink, ask
        self.background: Any = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sink = self._sink(self._request, send)
        try:
            with disconnect_watch(self._request) as disconnected:
                await self._ask(sink, disconnected)
        except AppError as error:
            if not sink.has_begun:
                raise
            document = await stream_error_document(self._request, error)
            if not isinstance(error, ClientGone):  # a caller who does not read gets no error event either
                with suppress(TimeoutError):
                    async with asyncio.timeout(ERROR_EVENT_GRACE_SECONDS):
                        await sink.fail(document)
