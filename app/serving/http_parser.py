"""Reads one HTTP/1.1 message after another with httptools, and bounds what httptools does not."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

import httptools

from ..api.http_errors import MalformedHttp, TooLarge
from ..limits.bounds import Bounds

UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
HOST = re.compile(rb"(?:[\w.~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?")
"""RFC 9110, section 7.2; it may be empty."""
VERSIONS = frozenset({"1.0", "1.1"})
"""httptools takes two more."""
OF_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
FRAMING_PER_BYTE = 8
"""Bytes of chunk sizes and extensions for each byte of a body. Chunks of one byte need five."""


class Head(NamedTuple):
    method: str
    version: str
    raw_path: bytes
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    keeps_alive: bool
    expects_continue: bool


class MessageParser:
    """The parser of one connection."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._parser: httptools.HttpRequestParser | None = None
        """Of one message, until it is read: nothing of it lasts. The two hold each other."""
        self._in_head = False
        self.is_whole = False
        """Whether the message has ended."""
        self.is_rest_lost = False
        """Whether more came behind a chunked body: httptools does not tell where that ended."""

    def read_head(self, head: bytes) -> Head:
        """*head* is whole and nothing more. Raises MalformedHttp."""
        if UPGRADE.search(head):  # ignored (RFC 9110, section 7.8); the parser would lose the body
            head = UPGRADE.sub(b"\r\nx-upgrade:", head)
        self._url, self._headers, self._hosts = b"", list[tuple[bytes, bytes]](), list[bytes]()
        self._expects_continue = self.is_whole = False
        self._body_left: int | None = 0  # None: chunked
        self._body = bytearray()
        self._framing = self._framing_since_body = self._body_bytes = 0
        self._in_head, parser = True, httptools.HttpRequestParser(self)
        self._parser = parser
        try:
            self._feed(parser, head)
            if self._in_head:
                raise MalformedHttp()
            made = self._made_head(parser)
        except MalformedHttp:
            self._parser = None
            raise
        if self._body_left is not None:
            self._parser = None
        return made

    def read_body(self, data: bytes, at: int) -> tuple[bytes, int]:
        """What *data* holds of the body from *at* on, and where that ends; more may be no message.

        Raises MalformedHttp, and TooLarge for too much that is no body.
        """
        if self._body_left is not None:  # any bytes will do: they need no parser
            end = min(len(data), at + self._body_left)
            self._body_left -= end - at
            self.is_whole = not self._body_left
            return data[at:end], end
        assert self._parser is not None
        self._feed(self._parser, memoryview(data)[at:] if at else data)
        self._count_framing(len(data) - at - len(self._body))
        if self.is_whole:
            self._parser = None
        body, self._body = bytes(self._body), bytearray()
        return body, len(data)

    def _count_framing(self, count: int) -> None:
        self._body_bytes += len(self._body)
        self._framing += count
        self._framing_since_body = 0 if self._body else self._framing_since_body + count
        most = self._bounds.head_bytes
        if self._framing_since_body > most or self._framing > most + FRAMING_PER_BYTE * self._body_bytes:
            raise TooLarge("The chunks of the body hold too much that is no body.")

    def _feed(self, parser: httptools.HttpRequestParser, data: bytes | memoryview) -> None:
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # CONNECT
            raise MalformedHttp() from None
        except httptools.HttpParserError:
            if not self.is_whole:
                raise MalformedHttp() from None
            self.is_rest_lost = True

    def _made_head(self, parser: httptools.HttpRequestParser) -> Head:
        version = parser.get_http_version()
        if version not in VERSIONS:
            raise MalformedHttp()
        hosts = self._hosts
        if not (len(hosts) == 1 and HOST.fullmatch(hosts[0])) and (hosts or version == "1.1"):  # RFC 9112, section 3.2
            raise MalformedHttp("The request has no Host, more than one, or one that is no host.")
        try:
            url = httptools.parse_url(self._url)
            path = url.path.decode("ascii")
        except (httptools.HttpParserError, AttributeError, UnicodeDecodeError):
            raise MalformedHttp() from None
        return Head(
            parser.get_method().decode("ascii"),
            version,
            url.path,
            unquote(path) if "%" in path else path,
            url.query or b"",
            self._headers,
            version != "1.0" and self._keeps_alive,
            self._expects_continue,
        )

    # --- called by httptools ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if not self._in_head:  # stops the parser
            raise MalformedHttp()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer
        name = name.lower()
        self._headers.append((name, value))
        if name not in OF_FRAMING:
            return
        if name == b"host":
            self._hosts.append(value)
        elif name == b"content-length":
            self._body_left = int(value)
        elif name == b"transfer-encoding":
            self._body_left = None
        else:
            self._expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self._in_head = False
        self._keeps_alive = self._parser.should_keep_alive()  # the parser forgets it with the end of the message

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.is_whole = True
