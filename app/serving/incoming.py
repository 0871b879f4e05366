"""What a connection sent and is not parsed yet: part of a head, and what waits for an answer."""

from __future__ import annotations

from ..api.http_errors import HeadTooLarge, MalformedHttp, TooManyConnections
from .connections import Connections

HEAD_END = b"\r\n\r\n"
OF_HEAD = b"HEAD "


class Incoming:
    """Its bytes count among those that all connections of a worker keep."""

    def __init__(self, connections: Connections) -> None:
        self._connections, self._bounds = connections, connections.bounds
        self._head = bytearray()
        self._behind, self._at = b"", 0
        self._kept = 0
        self.asks_head = False
        """Whether the last request, as far as it has come, is HEAD (no body: RFC 9110, 9.3.2)."""

    def collect(self, data: bytes, at: int) -> tuple[bytes | None, int]:
        """The head that ends in *data*, and where; None, and the end of *data*, while it has none.

        Raises HeadTooLarge, MalformedHttp for what cannot be one, TooManyConnections.
        """
        known = len(self._head)
        if not known:
            while at < len(data) and data[at] in b"\r\n":  # empty lines before a request (RFC 9112, section 2.2)
                at += 1
            if at == len(data):
                return None, at
            if not data[at : at + 1].isupper():  # no method begins so
                raise MalformedHttp()
            self.asks_head = data.startswith(OF_HEAD, at)
            found = data.find(HEAD_END, at)
            if found >= 0:
                end = found + len(HEAD_END)
                self._verify_size(end - at)
                return data[at:end], end
        self._head += data[at:]
        self.asks_head = self._head.startswith(OF_HEAD)
        found = self._head.find(HEAD_END, max(0, known - len(HEAD_END) + 1))
        if found < 0:
            self._verify_size(len(self._head))
            self._count()
            return None, len(data)
        size = found + len(HEAD_END)
        self._verify_size(size)
        head, self._head = bytes(self._head[:size]), bytearray()
        self._count()
        return head, at + size - known

    def hold(self, data: bytes, at: int = 0) -> bool:
        """Keep what is behind a request. Whether to read on. Raises TooManyConnections."""
        self._behind, self._at = (self._behind[self._at :] + data if self._behind else data), at
        self._count()
        return len(self._behind) - self._at <= self._bounds.behind_bytes

    def take(self) -> tuple[bytes, int]:
        """The bytes that were kept, and the position at which they begin."""
        data, at, self._behind, self._at = self._behind, self._at, b"", 0
        if data:
            self._count()
        return data, at

    @property
    def is_empty(self) -> bool:
        return not self._head and not self._behind

    def clear(self) -> None:
        self._head, self._behind, self._at = bytearray(), b"", 0
        self._count()

    def _verify_size(self, size: int) -> None:
        if size > self._bounds.head_bytes:
            raise HeadTooLarge()

    def _count(self) -> None:
        kept = len(self._head) + len(self._behind)
        self._connections.kept_bytes += kept - self._kept
        grows, self._kept = kept > self._kept, kept
        if grows and self._connections.kept_bytes > self._bounds.kept_bytes:
            raise TooManyConnections()
