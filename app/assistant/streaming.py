"""A streamed answer: passed on in few writes, and kept alive while the model is silent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import ParamSpec, Protocol, TypeVar

from ..audit.format.record import Receipt
from ..errors import ClientGone, UpstreamTimeout
from ..kit.event_stream import Event
from ..upstream.attempts import Attempts
from ..upstream.bounds import STEP_BYTES
from ..upstream.call import PreparedCall
from ..upstream.completion import Completion, verify_usable
from ..upstream.errors import Reading
from ..upstream.model_server import AnswerEvents
from ..upstream.protocol.stream_reader import StreamReader, read_piece
from ..upstream.resilience.loop import AttemptLoop
from ..upstream.resilience.road import Road
from ..upstream.turns import is_heavy
from .exchange import Exchange
from .models import Served

EAGER_WRITES = 3
"""The first writes of a stream do not wait for more events, so that the answer begins at once."""
NOT_READING = "The caller does not read."
P = ParamSpec("P")
T = TypeVar("T")
UNMERGEABLE = "stream whose pieces do not add up"


@dataclass(frozen=True, slots=True)
class StreamTimeouts:
    """When and how a stream is written. Seconds. How long it may last, its call says."""

    keepalive_seconds: float = 10
    """Between two keep-alives to the caller; also how long one write to the caller may take."""
    end_seconds: float = 30
    """How long the last write may take: all of the answer, if it is buffered."""
    gather_seconds: float = 0.02
    """Events arriving within this time are sent in one write: a write costs as much as reading ten
    events."""
    is_buffered: bool = False
    """Send no text before its record is durable (AUDIT_STREAM=buffer)."""


class StreamSink(Protocol):
    """Where a stream goes: how one endpoint writes it. The first write sends the headers, too."""

    def name(self, received: Receipt) -> None:
        """Name the question's record in the headers."""

    def answered(self, call: PreparedCall, served: Served) -> None:
        """*call* is the one that is answered; the headers say so, unless they were sent."""

    async def begin(self) -> None:
        """Send the headers now: the model's server has begun to answer."""

    async def keep_alive(self) -> None:
        """Write something that clients ignore."""

    def encode(self, events: Sequence[Event], text: str) -> bytes:
        """The bytes for *events* and the *text* in them, as this endpoint shows it; maybe none."""

    async def write(self, data: bytes) -> None: ...

    async def end(self, reader: StreamReader, completion: Completion, receipt: Receipt) -> None:
        """Write what was held back, the receipt and the end marker."""


@dataclass(frozen=True, slots=True)
class Streamed:
    """A whole streamed answer. *unwritten* is what the caller did not get yet: all, if buffered."""

    completion: Completion
    unwritten: bytes
    reader: StreamReader


async def relay_stream(exchange: Exchange, road: Road, loop: AttemptLoop, sink: StreamSink, timeouts: StreamTimeouts) -> Streamed:
    """Pass the answer on, except what its reader holds back.

    Raises UpstreamError and its subclasses, ClientGone for a caller who does not read, Overloaded
    for a large answer that there is no memory for, and TimeoutError after the call's
    `stream_timeout_seconds`.
    """
    relay = _Relay(exchange, sink, timeouts)
    async with asyncio.timeout(road.call.stream_timeout_seconds):
        source = await relay.open(road, loop)
        try:
            call = road.call
            reader = call.endpoint.reader(call.model, call.wants_usage)
            sink.answered(call, exchange.begin_answer(call, reader))
            if not timeouts.is_buffered:
                await sink.begin()
            await relay.run(source, reader)
        except BaseException:
            source.close()
            raise
        source.finish()
    with Reading(b"", UNMERGEABLE):
        completion = await exchange.read(lambda: verify_usable(reader.completion(), wants_text=call.wants_text))
    return Streamed(completion, b"".join(relay.unwritten), reader)


class _Relay:
    """From the server's events to the caller's bytes."""

    _reader: StreamReader

    def __init__(self, exchange: Exchange, sink: StreamSink, timeouts: StreamTimeouts) -> None:
        self.unwritten: list[bytes] = []
        """What a buffered stream gives the caller after its record."""
        self._exchange, self._sink, self._timeouts = exchange, sink, timeouts
        self._silence = _Silence(timeouts.keepalive_seconds, sink)
        self._clock = asyncio.get_running_loop().time
        self._writes = 0
        self._is_writing = False
        self._kept_alive_at = 0.0

    async def open(self, road: Road, loop: AttemptLoop) -> AnswerEvents:
        """Send the call, and wait until a server gives the first event."""
        self._silence.reset(max(0.0, road.until - monotonic()))
        opening = asyncio.ensure_future(loop.answer(road, self._send, _close))
        try:
            while not (await asyncio.wait({opening}, timeout=self._silence.step))[0]:
                await self._silence.step_passed()
            return opening.result()
        except BaseException:
            opening.cancel()
            opening.add_done_callback(_close_late)
            raise

    async def _send(self, call: PreparedCall, attempts: Attempts, is_fresh: bool) -> AnswerEvents:
        """The answer, once its first event has come. Raises the error that is in it, too."""
        more = {"is_fresh": True} if is_fresh else {}
        source = await call.upstream.open_stream(call.endpoint, call.body, attempts, call.headers, **more)
        try:
            events = await source.begin()
            if any(b"error" in event.data[:STEP_BYTES] or event.name == b"error" for event in events):
                piece = read_piece(call.endpoint.reader(call.model, call.wants_usage), events)
                if piece.error is not None and not piece.events:
                    raise piece.error
        except BaseException:
            source.close()
            raise
        return source

    async def run(self, source: AnswerEvents, reader: StreamReader) -> None:
        """Pass on what *source* gives until the answer is over."""
        self._reader = reader
        self._silence.reset(self._exchange.call.timeout_seconds)
        self._kept_alive_at = self._clock()
        while not self._reader.is_over:
            try:
                async with asyncio.timeout(self._silence.step) as timer:
                    await self._pass_on(source, timer)
            except TimeoutError:
                if self._is_writing:
                    raise ClientGone(NOT_READING) from None
                await self._silence.step_passed()

    async def _pass_on(self, source: AnswerEvents, timer: asyncio.Timeout) -> None:
        """Until the answer is over or *timer* expires, which each read postpones."""
        reader = self._reader
        while not reader.is_over:
            if self._writes >= EAGER_WRITES and not source.is_behind:
                await asyncio.sleep(self._timeouts.gather_seconds)
            events = await source.read()
            self._exchange.origin.memory.reach(source.kept_bytes(self._timeouts.is_buffered))
            self._silence.end()
            timer.reschedule(self._clock() + self._silence.step)
            piece = await self._work(timer, events, read_piece, reader, events)
            if data := self._sink.encode(piece.events, piece.text):
                self._is_writing = True
                await self._write(data)
                self._is_writing = False
            with Reading(b"", UNMERGEABLE):
                await self._work(timer, piece.events, reader.mark_delivered)
            self._exchange.is_noted = True
            if piece.error is not None:
                raise piece.error

    async def _work(
        self, timer: asyncio.Timeout, events: list[Event] | None, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What *do* returns: if it works on a heavy event, in a thread, with *timer* stopped."""
        if not any(is_heavy(event.data) for event in events or ()):
            return do(*args, **kwargs)
        timer.reschedule(None)
        try:
            return await self._exchange.call.upstream.turns.work(do, *args, **kwargs)
        finally:
            timer.reschedule(self._clock() + self._silence.step)

    async def _write(self, data: bytes) -> None:
        if not self._timeouts.is_buffered:
            await self._sink.write(data)
            self._writes += 1
            self._exchange.mark_delivered(data)
            self._exchange.is_noted = False
            return
        self.unwritten.append(data)
        if self._clock() - self._kept_alive_at >= self._timeouts.keepalive_seconds:
            self._kept_alive_at = self._clock()
            await self._sink.keep_alive()


def _close(answer: AnswerEvents) -> None:
    answer.close()


def _close_late(opening: asyncio.Future[AnswerEvents]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


class _Silence:
    """While the model's server sends nothing: keep-alives to the caller, then a timeout."""

    def __init__(self, keepalive_seconds: float, sink: StreamSink) -> None:
        self._keepalive, self._sink = keepalive_seconds, sink
        self.reset(keepalive_seconds)

    def reset(self, longest_seconds: float) -> None:
        """It begins now, and may last so long."""
        self._longest, self._first_step = longest_seconds, min(self._keepalive, longest_seconds)
        self.end()

    def end(self) -> None:
        """The server has sent something."""
        self.step = self._first_step
        """Seconds until `step_passed` must be called."""
        self._left = self._longest

    async def step_passed(self) -> None:
        """Raises UpstreamTimeout after a long silence, ClientGone if the caller does not read."""
        self._left -= self.step
        if self._left <= 0:
            raise UpstreamTimeout
        try:
            async with asyncio.timeout(self.step):
                await self._sink.keep_alive()
        except TimeoutError:
            raise ClientGone(NOT_READING) from None
        self.step = min(self.step, self._left)
