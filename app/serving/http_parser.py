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
OF_FRAMING = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect", b"connection"})
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
        self._bounds, self._message = bounds, _Message()
        self.is_rest_lost = False
        """Whether more came behind a chunked body: httptools does not tell where that ended."""

    def read_head(self, head: bytes) -> Head:
        """*head* is whole and nothing more. Raises MalformedHttp."""
        if UPGRADE.search(head):  # ignored (RFC 9110, section 7.8); the parser would lose the body
            head = UPGRADE.sub(b"\r\nx-upgrade:", head)
        self._message = _Message()
        self._framing = self._framing_since_body = self._body_bytes = 0
        self._parser = httptools.HttpRequestParser(self._message)  # one message each: nothing of it lasts
        self._feed(head)
        if self._message.is_in_head:
            raise MalformedHttp()
        return self._made_head(self._message)

    @property
    def is_whole(self) -> bool:
        """Whether the message has ended."""
        return self._message.is_whole

    def read_body(self, data: bytes, at: int) -> tuple[bytes, int]:
        """What *data* holds of the body from *at* on, and where that ends; more may be no message.

        Raises MalformedHttp, and TooLarge for too much that is no body.
        """
        message = self._message
        if message.body_left is not None:  # any bytes will do: they need no parser
            end = min(len(data), at + message.body_left)
            message.body_left -= end - at
            message.is_whole = not message.body_left
            return data[at:end], end
        self._feed(memoryview(data)[at:] if at else data)
        body, message.body = bytes(message.body), bytearray()
        self._count_framing(len(data) - at - len(body), len(body))
        return body, len(data)

    def _count_framing(self, count: int, body_bytes: int) -> None:
        self._body_bytes += body_bytes
        self._framing += count
        self._framing_since_body = 0 if body_bytes else self._framing_since_body + count
        most = self._bounds.head_bytes
        if self._framing_since_body > most or self._framing > most + FRAMING_PER_BYTE * self._body_bytes:
            raise TooLarge("The chunks of the body hold too much that is no body.")

    def _feed(self, data: bytes | memoryview) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # CONNECT
            raise MalformedHttp() from None
        except httptools.HttpParserError:
            if not self.is_whole:
                raise MalformedHttp() from None
            self.is_rest_lost = True

    def _made_head(self, message: _Message) -> Head:
        version, hosts = self._parser.get_http_version(), message.hosts
        if version not in VERSIONS:
            raise MalformedHttp()
        if not (len(hosts) == 1 and HOST.fullmatch(hosts[0])) and (hosts or version == "1.1"):  # RFC 9112, section 3.2
            raise MalformedHttp("The request has no Host, more than one, or one that is no host.")
        try:
            url = httptools.parse_url(message.url)
            path = url.path.decode("ascii")
        except (httptools.HttpParserError, AttributeError, UnicodeDecodeError):
            raise MalformedHttp() from None
        return Head(
            self._parser.get_method().decode("ascii"),
            version,
            url.path,
            unquote(path) if "%" in path else path,
            url.query or b"",
            message.headers,
            version != "1.0" and not message.is_last,
            message.expects_continue,
        )


class _Message:
    """What httptools tells of one message. It knows no parser: the two would hold each other."""

    def __init__(self) -> None:
        self.url, self.headers, self.hosts = b"", list[tuple[bytes, bytes]](), list[bytes]()
        self.expects_continue = self.is_last = self.is_whole = False
        self.is_in_head = True
        self.body_left: int | None = 0  # None: chunked
        self.body = bytearray()

    def on_message_begin(self) -> None:
        if not self.is_in_head:  # stops the parser
            raise MalformedHttp()

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_in_head:
            return  # a trailer
        name = name.lower()
        self.headers.append((name, value))
        if name not in OF_FRAMING:
            return
        if name == b"host":
            self.hosts.append(value)
        elif name == b"content-length":
            self.body_left = int(value)
        elif name == b"transfer-encoding":
            self.body_left = None
        elif name == b"connection":  # RFC 9112, section 9.3
            self.is_last = self.is_last or b"close" in [one.strip() for one in value.lower().split(b",")]
        else:
            self.expects_continue = value.lower() == b"100-continue"

    def on_headers_complete(self) -> None:
        self.is_in_head = False

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.is_whole = True
