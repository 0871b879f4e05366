"""Server-sent events, parsed and encoded (WHATWG HTML, section 9.2: Server-sent events)."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import UpstreamError

KEEP_ALIVE = b": keep-alive\n\n"
"""A comment: clients ignore it, and proxies see that the connection is alive."""


class Event(NamedTuple):
    """An empty *name* means `message`. *data* may hold newlines."""

    name: bytes
    data: bytes


class EventParser:
    """Takes a stream in pieces, returns its events. Comments, `id` and `retry` are ignored."""

    def __init__(self, max_event_bytes: int) -> None:
        self._pieces: list[bytes] = []  # of the event that has not ended
        self._size = 0
        self._tail = b""  # the last bytes of the stream: perhaps half of what ends a line or an event
        self._max_event_bytes = max_event_bytes

    def feed(self, piece: bytes) -> list[Event]:
        """Raises UpstreamError for an event of more than *max_event_bytes* (roughly)."""
        data = self._tail + piece
        cut = len(data)
        if b"\r" in data:  # \r\n, \r and \n all end a line; a \r at the end may be half a \r\n
            cut -= data.endswith(b"\r")
            data = data[:cut].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + data[cut:]
        first, *rest = data.split(b"\n\n")
        if not rest:
            keep = -2 if data.endswith(b"\r") else -1
            self._pieces.append(data[:keep])
            self._size += len(data) + keep
            self._tail = data[keep:]
            if self._size > self._max_event_bytes:
                raise UpstreamError
            return []
        *blocks, last = rest
        blocks.insert(0, b"".join([*self._pieces, first]))
        self._pieces, self._size, self._tail = [], 0, last
        return [event for block in blocks if (event := _event_of(block)) is not None]


def _event_of(block: bytes) -> Event | None:
    if block.startswith(b"data: ") and b"\n" not in block:  # nearly always
        return Event(b"", block[6:])
    name, data = b"", []
    for line in block.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
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
