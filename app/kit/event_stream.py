"""Server-sent events, parsed and encoded (WHATWG HTML, section 9.2: Server-sent events)."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..errors import UpstreamError

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment: clients ignore it, and proxies see that the connection is alive."""
MAX_LINES = 20_000
"""Of one event, comments too."""
_BLANK_LINES = re.compile(rb"\n{3,}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """An empty *name* means `message`. *data* may hold newlines, and be empty."""

    name: bytes
    data: bytes


class EventParser:
    """Takes a stream in pieces, returns its events. Comments, `id` and `retry` are ignored."""

    def __init__(self, max_event_bytes: int) -> None:
        self._pieces: list[bytes] = []  # of the event that has not ended
        self._size = 0
        self._tail = b""  # the last bytes of the stream: perhaps half of what ends an event
        self._is_after_cr = False  # a \n that comes next belongs to the \r before it
        self._mark = _BYTE_ORDER_MARK  # ignored before the first event
        self._max_event_bytes = max_event_bytes

    def feed(self, piece: bytes) -> list[Event]:
        """Raises UpstreamError for an event of more than *max_event_bytes* (roughly), or lines."""
        if self._is_after_cr and piece:
            self._is_after_cr = False
            piece = piece.removeprefix(b"\n")
        if b"\r" in piece:  # \r\n, \r and \n all end a line
            self._is_after_cr = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        data = self._tail + piece
        if b"\n\n\n" in data:  # megabytes of blank lines would be as many blocks
            data = _BLANK_LINES.sub(b"\n\n", data)
        first, *rest = data.split(b"\n\n")
        if not rest:
            self._pieces.append(data[:-1])
            self._size += len(data) - 1
            self._tail = data[-1:]
            if self._size > self._max_event_bytes:
                raise UpstreamError
            return []
        *blocks, last = rest
        blocks.insert(0, b"".join([*self._pieces, first]).removeprefix(self._mark))
        self._pieces, self._size, self._tail, self._mark = [], 0, last, b""
        return [event for block in blocks if (event := _event_of(block)) is not None]

    def end(self) -> list[Event]:
        """The stream has ended: the event whose blank line is missing, if any.

        WHATWG drops it. Servers omit that line, and OpenAI's SDKs deliver the event.
        """
        return self.feed(b"\n\n")


def _event_of(block: bytes) -> Event | None:
    if block.startswith(b"data: ") and b"\n" not in block:  # nearly always
        return Event(b"", block[6:])
    if len(block) > MAX_LINES and block.count(b"\n") > MAX_LINES:
        raise UpstreamError
    name, data = b"", []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value
    return Event(name, b"\n".join(data)) if data else None


def encode(event: Event) -> bytes:
    """The bytes of *event* in a stream."""
    head = b"event: %b\n" % event.name if event.name else b""
    return b"%bdata: %b\n\n" % (head, event.data.replace(b"\n", b"\ndata: ") if b"\n" in event.data else event.data)
