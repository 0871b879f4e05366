"""What uvicorn's HTTP protocol leaves open before there is a request: how large a head may grow, and what broken bytes get."""

from __future__ import annotations

import logging
import re
import secrets

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 32 * 1024
"""A request line with its headers, and what else came in the same read (at most 256 KiB)."""
UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
MUTED = ("Invalid HTTP request received.", "Unsupported upgrade request.")


class BoundedHttpProtocol(HttpToolsProtocol):
    """Refuses an endless head, which httptools would gather in quadratic time, and ignores Upgrade (RFC 9110, 7.8)."""

    _head_bytes = 0
    _in_head = True
    _ended_here = False  # a message ended in this read, so most of it was no head

    def data_received(self, data: bytes) -> None:
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large", 431, "The request's head is too large.")
            return
        if self._in_head:
            end = data.find(b"\r\n\r\n")
            head = data if end < 0 else data[:end]
            if UPGRADE.search(head):  # else the parser stops after the head, and the body is lost
                data = UPGRADE.sub(b"\r\nx-upgrade:", head) + data[len(head) :]
        self._ended_here = False
        super().data_received(data)
        if self._in_head and not self._ended_here:
            self._head_bytes += len(data)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = self._ended_here = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(b"400 Bad Request", 400, "This is not a request of HTTP/1.1 (RFC 9112).")

    def _refuse(self, line: bytes, status: int, detail: str) -> None:
        request_id = secrets.token_hex(16)
        problem = {
            "type": "about:blank",
            "title": line[4:].decode(),
            "status": status,
            "detail": detail,
            "code": "malformed_http" if status == 400 else "too_large",
            "request_id": request_id,
        }
        body = orjson.dumps(problem)
        head = (
            f"HTTP/1.1 {line.decode()}\r\ncontent-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def mute_strangers() -> None:
    """Keep uvicorn from writing a line of our output for every broken request that a stranger cares to send."""
    logging.getLogger("uvicorn.error").addFilter(lambda record: record.msg not in MUTED)
