"""The bytes of an answer: its head, and its body as that head says (RFC 9112, section 6)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from http import HTTPStatus

Headers = Iterable[tuple[bytes, bytes]]
CONTROLS = bytes({*range(32), 127} - set(b"\t\r\n"))
WITHOUT_BODY = (204, 304)


class AnswerWriter:
    """Frames one answer. Raises RuntimeError for one that its own head does not describe."""

    def __init__(self, method: str, version: str) -> None:
        self._is_head, self._version = method == "HEAD", version
        self._is_chunked = False
        self._left: int | None = 0  # of the body; None: as much as comes

    def head(self, status: int, headers: list[tuple[bytes, bytes]], *, keeps_alive: bool) -> tuple[bytes, bool]:
        """The head, and whether the connection is kept behind the answer."""
        known = dict(headers)
        length, more = known.get(b"content-length"), list[tuple[bytes, bytes]]()
        if b"close" in known.get(b"connection", b"").lower():
            keeps_alive = False
        elif not keeps_alive:
            more.append((b"connection", b"close"))
        if length is not None:
            self._left = 0 if self._is_head else int(length)
        elif not self._is_head and status not in WITHOUT_BODY:
            self._left, self._is_chunked = None, self._version != "1.0"  # 1.0 knows no chunks: the connection's end is the body's
            if self._is_chunked:
                more.append((b"transfer-encoding", b"chunked"))
        return head_bytes(status, [*headers, *more]), keeps_alive

    def body(self, data: bytes, *, is_last: bool) -> bytes:
        """What is sent of the next part of the body."""
        if self._is_head:
            return b""
        if self._is_chunked:
            chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            return chunk + b"0\r\n\r\n" if is_last else chunk
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0 or (is_last and self._left):
                raise RuntimeError("The body is not as long as Content-Length says.")
        return data


def head_bytes(status: int, headers: Headers) -> bytes:
    """Raises ValueError for a header that would end the line or the head."""
    lines = [_status_line(status), *[b"%b: %b\r\n" % header for header in headers], b"\r\n"]
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or len(head.translate(None, CONTROLS)) != len(head):
        raise ValueError("A header of the answer holds a control character.")
    return head


@cache
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
