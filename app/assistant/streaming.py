"""A stream on the road: read as it comes, given out in what has gathered, kept alive while the model thinks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from ..errors import ClientGone, UpstreamError, UpstreamTimeout
from ..security.audit.entry import Receipt
from .models import Call, Completion
from .protocol.dialect import StreamReader
from .protocol.event_stream import Event
from .trip import Trip
from .upstream import UNREADABLE, EventSource, unusable

EAGER_WRITINGS = 3


@dataclass(frozen=True, slots=True)
class Pace:
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


class Outlet(Protocol):
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


async def run_stream(trip: Trip, outlet: Outlet, pace: Pace) -> tuple[StreamReader, Completion, bytes]:
    """The reader at the end of the answer, the answer, and what is not given out yet (all of it, where the pace is buffered).

    Raises UpstreamError or below it, ClientGone for a caller who does not read, TimeoutError after `whole_seconds`.
    """
    call = trip.call
    trip.reader = reader = call.dialect.reader(call.model, call.wants_usage)
    async with asyncio.timeout(pace.whole_seconds):
        source = await _open(call, outlet, pace)
        try:
            if not pace.is_buffered:
                await outlet.begin()
            kept = await _pump(source, trip, outlet, pace)
        except BaseException:
            source.close()
            raise
        source.finish()
    try:
        return reader, verified(reader.completion(), call), kept
    except UNREADABLE:
        raise unusable(b"", "stream whose pieces do not add up") from None


def verified(completion: Completion, call: Call) -> Completion:
    """Return *completion* if a record can hold it, and it is what the door needs. Raises TypeError."""
    if call.wants_text and completion.text is None:
        raise TypeError
    if not isinstance(completion.answer, str | None):
        orjson.dumps({"details": {"answer": completion.answer}})  # raises for what is nested too deeply
    return completion


async def _open(call: Call, outlet: Outlet, pace: Pace) -> EventSource:
    opening = asyncio.ensure_future(call.upstream.open_stream(call.dialect.path, call.body))
    try:
        waiting = _Waiting(pace, outlet)
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


async def _pump(source: EventSource, trip: Trip, outlet: Outlet, pace: Pace) -> bytes:
    """Read, give out, read on: one timer for the whole stream, set anew with every piece."""
    reader, kept = trip.reader, list[bytes]()
    assert reader is not None
    clock = asyncio.get_running_loop().time
    last_sign, is_writing, writings = clock(), False, 0

    async def give(data: bytes) -> None:
        nonlocal last_sign, writings
        if not pace.is_buffered:
            await outlet.write(data)
            writings += 1
            trip.deliver(data)
            return
        kept.append(data)
        if clock() - last_sign >= pace.keepalive_seconds:
            last_sign = clock()
            await outlet.keep_alive()

    waiting = _Waiting(pace, outlet)
    while not reader.is_over:
        try:
            async with asyncio.timeout(waiting.step) as patience:
                while not reader.is_over:
                    if writings >= EAGER_WRITINGS:
                        await asyncio.sleep(pace.gather_seconds)
                    events = await source.read()
                    waiting = _Waiting(pace, outlet)
                    patience.reschedule(clock() + waiting.step)
                    if events is None:
                        reader.end()
                    given, text, broken = _read(reader, events or [])
                    if data := outlet.encode(given, text):
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

    def __init__(self, pace: Pace, outlet: Outlet) -> None:
        self.step = min(pace.keepalive_seconds, pace.silence_seconds)
        self._left = pace.silence_seconds
        self._outlet = outlet

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
