"""One answer of a model's server, parsed by httptools: its head, then its body as it arrives."""

from __future__ import annotations

import asyncio
import re

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from .bounds import FRAMING_FACTOR, MAX_HEAD_BYTES, MAX_HEADS, STEP_BYTES

MAX_HEADER_BYTES = 64 * 1024
"""Of one header, and of the status line."""
MAX_FIELDS = 1_000
"""Headers of one answer."""
MAX_UNREAD_BYTES = 128 * 1024
"""Of a body. The server waits while more is unread."""
_HEAD_END = re.compile(rb"\n\r?\n")
_INFORMATIONAL = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9]{2}")
_SEVERAL = re.compile(rb"\ncontent-length:(?:[^\n]*,|.*\ncontent-length)", re.IGNORECASE | re.DOTALL)
_LENGTHS = re.compile(rb"\ncontent-length:[ \t]*([0-9]+(?:[ \t]*,[ \t]*[0-9]+)*)[ \t]*\r?(?=\n)", re.IGNORECASE)


class NotHttp(Exception):
    """What the server sent is no answer of HTTP, or one with more around its body than is read."""


class Answer:
    """A wait for it that is cancelled loses nothing."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.has_begun = self.is_over = False
        """Whether its head has come; whether nothing more will come of it."""
        self.keeps_alive = False
        """Whether the server keeps the connection open behind it."""
        self.fault: Exception | None = None
        """Why it ended too early. Raised behind what had come by then."""
        self.status = self.bytes = 0
        self.headers: dict[bytes, bytes] = {}
        """By lower-case names; of several with one name the first."""
        self._head: list[bytes] = []  # as it came, while it is not parsed
        self._heads = self._fields = self._silent_bytes = self._body_bytes = 0
        self._is_chunked = self._is_merged = self._is_paused = False
        self._pieces: list[bytes] = []
        self._unread_bytes = self._wanted = 0
        self._waiter: asyncio.Future[None] | None = None
        self._parser: HttpResponseParser | None = self._new_parser()

    # --- for its reader --------------------------------------------------------------------------

    def header(self, name: bytes) -> str:
        """Empty if there is none."""
        return self.headers.get(name, b"").rstrip(b" \t").decode("utf-8", "surrogateescape")

    async def begin(self, wanted: int) -> None:
        """Return with the head, and with *wanted* bytes of the body or as many as it has.

        Raises OSError or NotHttp if the head does not come.
        """
        await self._until(wanted)
        if not self.has_begun:
            assert self.fault is not None
            raise self.fault

    async def read(self) -> bytes:
        """What has arrived since; empty at the end. Raises OSError or NotHttp."""
        await self._until(1)
        data = self.take()
        if not data and self.fault is not None:
            raise self.fault
        return data

    def take(self) -> bytes:
        """What has arrived and was not read."""
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._unread_bytes = 0
        self._resume()
        return data

    @property
    def is_read(self) -> bool:
        """Whether all of it came, and was read."""
        return self.is_over and self.fault is None and not self._pieces

    def release(self) -> None:
        """Nobody reads on: close the connection, unless the answer has ended."""
        if not self.is_over:
            self._transport.abort()

    # --- for its connection ----------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        if len(data) <= STEP_BYTES:  # nearly always
            self._take_in(data)
        else:
            for at in range(0, len(data), STEP_BYTES):
                self._take_in(data[at : at + STEP_BYTES])
        if self._unread_bytes > MAX_UNREAD_BYTES and not self.is_over:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def lose(self, fault: Exception) -> None:
        """The connection has ended. Without a length the answer ends with it, too."""
        if self.has_begun and not self._is_chunked and b"content-length" not in self.headers:
            self._end()
        else:
            self._fail(fault)
        self._wake()

    # --- parsing ---------------------------------------------------------------------------------

    def _new_parser(self) -> HttpResponseParser:
        parser = HttpResponseParser(self)
        parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        return parser

    def _take_in(self, data: bytes) -> None:
        self.bytes += len(data)
        self._silent_bytes += len(data)
        if not self.has_begun:
            self._head.append(data)
        self._parse(data)
        is_too_long = self.bytes > MAX_HEAD_BYTES and self.bytes - FRAMING_FACTOR * self._body_bytes > MAX_HEAD_BYTES
        if is_too_long or self._silent_bytes > MAX_HEADER_BYTES:
            self._fail(NotHttp())

    def _parse(self, data: bytes) -> None:
        if self._parser is None:  # more than one answer
            self.keeps_alive = False
            return
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self.keeps_alive = False
        except HttpParserError:
            self.keeps_alive = False
            if self.has_begun or self._is_merged or (merged := _with_one_length(b"".join(self._head))) is None:
                self._fail(NotHttp())
            elif merged:  # else the head is not whole yet; the parser will refuse its rest, too
                self._is_merged, self._parser = True, self._new_parser()
                self._heads = self._fields = 0
                self.headers.clear()
                self._parse(merged)

    def on_message_begin(self) -> None:
        if self.is_over:
            raise NotHttp()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._silent_bytes = 0
        self._fields += 1
        if self._fields > MAX_FIELDS or len(name) + len(value) > MAX_HEADER_BYTES:
            raise NotHttp()
        if self.has_begun:
            return  # a trailer
        if b"\0" in value:
            raise NotHttp()
        name = name.lower()
        self.headers.setdefault(name, value)
        if name == b"transfer-encoding":
            self._is_chunked = value.lower().rpartition(b",")[2].strip() == b"chunked"

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self._silent_bytes = 0
        self._heads += 1
        if self._heads > MAX_HEADS:
            raise NotHttp()
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self.headers.clear()
            return
        self.has_begun, self.status = True, status
        self.keeps_alive = self._parser.should_keep_alive()  # the parser forgets it with the end of the message
        self._head.clear()

    def on_body(self, body: bytes) -> None:
        self._silent_bytes = 0
        self._body_bytes += len(body)
        self._unread_bytes += len(body)
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self.has_begun:
            self._end()

    # --- ends and waits --------------------------------------------------------------------------

    def _fail(self, fault: Exception) -> None:
        if not self.is_over:
            self.fault, self.keeps_alive = fault, False
            self._end()

    def _end(self) -> None:
        self.is_over = True
        self._parser = None  # it refers to this object
        self._resume()

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    async def _until(self, wanted: int) -> None:
        if not self._is_due(wanted):
            self._wanted, self._waiter = wanted, asyncio.get_running_loop().create_future()
            await self._waiter

    def _is_due(self, wanted: int) -> bool:
        return self.is_over or (self.has_begun and self._unread_bytes >= wanted)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done() and self._is_due(self._wanted):
            waiter.set_result(None)


def _with_one_length(data: bytes) -> bytes | None:
    """*data*, which begins with a head, with the equal Content-Lengths of that head made one.

    RFC 9112, section 6.3, lets a client do so; the parser refuses them. Empty if the head is not
    whole yet; None where there is nothing to mend.
    """
    begin = 0
    while _INFORMATIONAL.match(data, begin) and (end := _HEAD_END.search(data, begin)):
        begin = end.end()
    end = _HEAD_END.search(data, begin)
    if end is None:
        return b"" if len(data) <= MAX_HEADER_BYTES and _SEVERAL.search(data, begin) else None
    head = data[begin : end.start() + 1]
    lengths = [length.strip() for found in _LENGTHS.findall(head) for length in found.split(b",")]
    if len(lengths) < 2 or len(set(lengths)) > 1:
        return None
    return b"%bContent-Length: %b\r\n%b" % (data[:begin] + _LENGTHS.sub(b"", head), lengths[0], data[end.start() + 1 :])
