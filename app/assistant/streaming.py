"""A stream on the road: read as it comes, given out in what has gathered, kept alive while the model thinks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from ..audit.format.record import Receipt
from ..errors import ClientGone, UpstreamError, UpstreamTimeout
from ..kit.event_stream import Event
from ..upstream.call import PreparedCall
from ..upstream.client import UNREADABLE, EventSource, unusable
from ..upstream.completion import Completion
from ..upstream.protocol.endpoint import StreamReader
from .exchange import Exchange

EAGER_WRITINGS = 3


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """How long a stream may be silent, and last. Seconds."""

    silence_seconds: float = 30
    """Of the model's server, at its beginning and between two events."""
    whole_seconds: float = 600
    keepalive_seconds: float = 10
    """Between two signs of life; also how long a caller may leave unread what no buffer takes any more."""
    gather_seconds: float = 0.02
    """What comes within that time of the last writing travels together: a writing costs as much as reading ten pieces. The
    first EAGER_WRITINGS of a stream do not wait for that."""
    is_buffered: bool = False
    """Give out no text before its record is durable."""


class StreamSink(Protocol):
    """Where a stream goes: one door's way of writing it. Begins by itself with what is written first."""

    def name(self, received: Receipt) -> None:
        """The record of the question, which the head of the answer names."""

    async def begin(self) -> None:
        """The server has begun to answer."""

    async def keep_alive(self) -> None:
        """Write something that means nothing."""

    def encode(self, events: Sequence[Event], text: str) -> bytes:
        """What *events*, or the *text* in them, are at this door; maybe nothing."""

    async def write(self, data: bytes) -> None: ...

    async def end(self, reader: StreamReader, completion: Completion, receipt: Receipt) -> None:
        """Write what was held back, the receipt and the end marker."""


async def run_stream(exchange: Exchange, sink: StreamSink, timeouts: StreamTimeouts) -> tuple[StreamReader, Completion, bytes]:
    """The reader at the end of the answer, the answer, and what is not given out yet (all of it, where the pace is buffered).

    Raises UpstreamError or below it, ClientGone for a caller who does not read, TimeoutError after `whole_seconds`.
    """
    call = exchange.call
    exchange.reader = reader = call.endpoint.reader(call.model, call.wants_usage)
    async with asyncio.timeout(timeouts.whole_seconds):
        source = await _open(call, sink, timeouts)
        try:
            if not timeouts.is_buffered:
                await sink.begin()
            kept = await _pump(source, exchange, sink, timeouts)
        except BaseException:
            source.close()
            raise
        source.finish()
    try:
        return reader, verified(reader.completion(), call), kept
    except UNREADABLE:
        raise unusable(b"", "stream whose pieces do not add up") from None


def verified(completion: Completion, call: PreparedCall) -> Completion:
    """Return *completion* if a record can hold it, and it is what the door needs. Raises TypeError."""
    if call.wants_text and completion.text is None:
        raise TypeError
    if not isinstance(completion.answer, str | None):
        orjson.dumps({"details": {"answer": completion.answer}})  # raises for what is nested too deeply
    return completion


async def _open(call: PreparedCall, sink: StreamSink, timeouts: StreamTimeouts) -> EventSource:
    opening = asyncio.ensure_future(call.upstream.open_stream(call.endpoint.path, call.body))
    try:
        waiting = _Waiting(timeouts, sink)
        while not (await asyncio.wait({opening}, timeout=waiting.step))[0]:
            await waiting.go_on()
        return opening.result()
    except BaseException:
        opening.cancel()
        opening.add_done_callback(_close_late)
        raise


def _close_late(opening: asyncio.Future[EventSource]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


async def _pump(source: EventSource, exchange: Exchange, sink: StreamSink, timeouts: StreamTimeouts) -> bytes:
    """Read, give out, read on: one timer for the whole stream, set anew with every piece."""
    reader, kept = exchange.reader, list[bytes]()
    assert reader is not None
    clock = asyncio.get_running_loop().time
    last_sign, is_writing, writings = clock(), False, 0

    async def give(data: bytes) -> None:
        nonlocal last_sign, writings
        if not timeouts.is_buffered:
            await sink.write(data)
            writings += 1
            exchange.deliver(data)
            return
        kept.append(data)
        if clock() - last_sign >= timeouts.keepalive_seconds:
            last_sign = clock()
            await sink.keep_alive()

    waiting = _Waiting(timeouts, sink)
    while not reader.is_over:
        try:
            async with asyncio.timeout(waiting.step) as timeout:
                while not reader.is_over:
                    if writings >= EAGER_WRITINGS:
                        await asyncio.sleep(timeouts.gather_seconds)
                    events = await source.read()
                    waiting = _Waiting(timeouts, sink)
                    timeout.reschedule(clock() + waiting.step)
                    if events is None:
                        reader.end()
                    given, text, broken = _read(reader, events or [])
                    if data := sink.encode(given, text):
                        is_writing = True
                        await give(data)
                        is_writing = False
                    try:
                        reader.mark()
                    except UNREADABLE:
                        raise unusable(b"", "stream whose pieces do not add up") from None
                    if broken is not None:
                        raise broken
        except TimeoutError:
            if is_writing:
                raise ClientGone("The caller does not read.") from None
            await waiting.go_on()
    return b"".join(kept)


def _read(reader: StreamReader, events: list[Event]) -> tuple[list[Event], str, UpstreamError | None]:
    """What *events* give the caller, and the error that the first bad one is: what came before it is his."""
    given: list[Event] = []
    text = ""
    for event in events:
        try:
            given += reader.feed(event)
        except (UpstreamError, *UNREADABLE):
            return given, text, unusable(event.data, "unusable event")
        text += reader.text
        if reader.is_over:
            break
    return given, text, None


class _Waiting:
    """For the server, which says nothing: a sign of life to the caller now and then, and an end to it."""

    def __init__(self, timeouts: StreamTimeouts, sink: StreamSink) -> None:
        self.step = min(timeouts.keepalive_seconds, timeouts.silence_seconds)
        self._left = timeouts.silence_seconds
        self._outlet = sink

    async def go_on(self) -> None:
        """A step has passed. Raises UpstreamTimeout once it is too many."""
        self._left -= self.step
        if self._left <= 0:
            raise UpstreamTimeout
        try:
            async with asyncio.timeout(self.step):
                await self._outlet.keep_alive()
        except TimeoutError:
            raise ClientGone("The caller does not read.") from None
        self.step = min(self.step, self._left)
