"""What callers do with live feeds: hold them open unread, close them halfway, and keep them while the service stops."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from ..support.service import Service

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: a close is a reset."""


class Feed:
    """One feed; after its head nothing more of it is read until `rest`."""

    def __init__(self, service: Service, token: str, *, buffer: int | None = None) -> None:
        """*buffer*: bytes that the kernel takes for the caller."""
        self._socket = socket.socket()
        if buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(60)
        self._socket.connect(("127.0.0.1", service.port))
        self._socket.sendall(f"GET /audit/feed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())

    def status(self) -> int:
        """Waits for the head."""
        return int(self._socket.recv(12)[9:])

    def reset(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._socket.close()

    def rest(self) -> bytes:
        """Read to the end."""
        said = bytearray()
        while piece := self._socket.recv(65536):
            said += piece
        return bytes(said)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def open_feeds(service: Service, token: str, count: int, *, buffer: int | None = None) -> Iterator[list[Feed]]:
    with ExitStack() as opened:
        feeds = [Feed(service, token, buffer=buffer) for _ in range(count)]
        for feed in feeds:
            opened.callback(feed.close)
        yield feeds


def free_places(service: Service, token: str, most: int) -> int:
    """How many feeds this principal can open now. Closes them again."""
    with open_feeds(service, token, most + 1) as feeds:
        return [feed.status() for feed in feeds].count(200)


def closed_halfway(service: Service, token: str, rounds: int, at_once: int) -> None:
    """Reset before the head, after it, and a moment later."""
    for number in range(rounds):
        with open_feeds(service, token, at_once) as feeds:
            if number % 3:
                assert {feed.status() for feed in feeds} <= {200, 503}
            if number % 3 == 2:
                time.sleep(0.05)
            for feed in feeds:
                feed.reset()
