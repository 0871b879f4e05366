"""A streamed answer of a model's server, as events, whatever the server says its type is."""

from __future__ import annotations

import asyncio
import re

from ..kit.event_stream import Event, EventParser
from ..kit.foreign_json import as_utf8
from .answer import Answer
from .body import Body
from .bounds import MAX_DOCUMENT_BYTES, MAX_EVENT_BYTES, MAX_EVENTS, STEP_BYTES
from .errors import unusable, unusable_document
from .turns import Turns

EVENT_STREAM = "text/event-stream"
STREAM_END_GRACE_SECONDS = 1.0
ENVELOPE_BYTES = 256
"""Of an event around what it says, which is a few letters."""

_BEFORE = re.compile(rb"(?:\xef(?:\xbb(?:\xbf|\Z)|\Z))?[ \t\r\n]*")
_FIELDS = (b"data", b"event", b"id", b"retry")
_STREAM = re.compile(rb":|(?:%b)[:\r\n]" % b"|".join(_FIELDS))
NO_STREAM = "answer that is no stream"


class EventSource:
    """An answer that arrives as events. A `read` that is cancelled loses nothing."""

    def __init__(self, answer: Answer, body: Body, turns: Turns) -> None:
        self._answer, self._body, self._turns = answer, body, turns
        self._parser, self._events = EventParser(MAX_EVENT_BYTES), 0
        self._unparsed = b""  # what has been read and is still to be parsed
        self._document: bytes | None = b""  # what has come, as long as it may be a JSON document
        self._is_ascii = True  # so far
        self._coding = body.unread_coding  # until an event shows that it is none
        self._first: list[Event] = []

    async def verify_beginning(self) -> None:
        """Return once the answer's beginning shows that it is a stream, whatever its label says.

        Raises UpstreamError for anything else, also for a plain answer: we would have to make up
        the events of a stream, and the caller would get what no server said.
        """
        start = b""
        while (is_stream := _begins_stream(start)) is None or _may_be_document(start):
            piece = await self._body.read()
            if piece is None or len(start) > MAX_DOCUMENT_BYTES:
                break
            start += piece
        if not is_stream:
            raise unusable_document(start, NO_STREAM, self._coding)
        self._unparsed, self._document = start, None

    async def begin(self) -> list[Event]:
        """The first events. The next `read` gives them again.

        Raises as `Upstream.complete`, also where the stream ends without one.
        """
        while not self._first:
            events = await self.read()
            if events is None:
                raise unusable(b"", "stream without events")
            self._first = events
        return self._first

    async def read(self) -> list[Event] | None:
        """The events that have arrived, at least a piece of one or a comment; None at the end.

        Raises as `Upstream.complete`.
        """
        if self._first:
            first, self._first = self._first, []
            return first
        if not self._unparsed:
            piece = await self._body.read()
            if piece is None:
                return self._end()
            self._unparsed = piece
        if len(self._unparsed) > STEP_BYTES:
            await self._turns.step()
        if self._body.is_too_long:
            raise unusable(b"", "stream that is too long")
        piece, self._unparsed = self._unparsed[:STEP_BYTES], self._unparsed[STEP_BYTES:]
        events = self._sound(self._parser.feed(piece), piece)
        if events:
            self._events += len(events)
            self._coding = None
            if self._events > MAX_EVENTS:
                raise unusable(b"", f"stream of more than {MAX_EVENTS} events")
        if self._document is not None:
            self._document += piece
            if events or not _may_be_document(self._document) or len(self._document) > MAX_DOCUMENT_BYTES:
                self._document = None
        return events

    def _sound(self, events: list[Event], piece: bytes) -> list[Event]:
        """*events*, the last one in *piece*, in UTF-8: the caller reads what the record holds."""
        self._is_ascii = self._is_ascii and piece.isascii()
        if self._is_ascii:
            return events
        return [Event(event.name, as_utf8(event.data, self._body.charset)) for event in events]

    def kept_bytes(self, is_whole: bool) -> int:
        """About how much who reads it has to keep: what is said, or all of it."""
        return self._body.bytes_read - (0 if is_whole else ENVELOPE_BYTES * self._events)

    @property
    def is_behind(self) -> bool:
        """Whether more has arrived than `read` has given."""
        return bool(self._unparsed)

    def _end(self) -> list[Event] | None:
        if self._document:
            raise unusable_document(self._document, NO_STREAM, self._coding)
        if self._body.is_too_long:
            raise unusable(b"", "stream that is too long")
        events = self._sound(self._parser.end(), b"")
        if not events and self._coding:
            raise unusable_document(b"", NO_STREAM, self._coding)
        return events or None

    def close(self) -> None:
        """End the call at once: the connection is closed, unless the answer has ended."""
        self._body.take_rest()
        self._answer.release()

    def finish(self) -> None:
        """The answer was read. Its stream ends a moment later; the connection is reusable then."""
        self._body.take_rest()
        asyncio.get_running_loop().call_later(STREAM_END_GRACE_SECONDS, self._answer.release)


def _may_be_document(start: bytes) -> bool:
    return _BEFORE.sub(b"", start, count=1)[:1] in (b"", b"{", b"[")


def _begins_stream(start: bytes) -> bool | None:
    """Whether *start* begins an event stream; None if more is needed to know."""
    start = _BEFORE.sub(b"", start, count=1)
    if _STREAM.match(start):
        return True
    return None if any(field.startswith(start) for field in _FIELDS) else False
