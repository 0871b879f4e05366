"""A TCP proxy that cuts its connections when it is told: at once, or instead of the next bytes of one side."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from contextlib import suppress

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: the other end sees a reset, not an end."""
HOW = ("now", "instead of a question", "instead of an answer")


class CuttingProxy:
    """Use `with CuttingProxy(port) as proxy:` and connect to `proxy.port` instead."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.cuts = 0
        self.is_silent = False
        """While so, nothing is accepted, forwarded or closed: as a network that drops all packets."""
        self.passes: int | None = None
        """While set, only so many bytes of what the server says at a time: the rest is lost."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._pairs: dict[socket.socket, socket.socket] = {}
        """The client's end and the server's, both ways."""
        self._doomed: dict[socket.socket, None] = {}
        """Ends whose next bytes are lost, together with the connection."""
        self._wake, self._woken = socket.socketpair()
        self._is_over = False
        self._clients: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._run, name="cutting proxy")

    def __enter__(self) -> CuttingProxy:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over = True
        self._wake.send(b"x")
        self._thread.join()
        for one in (self._listener, self._wake, self._woken, *self._pairs):
            one.close()

    def cut(self, chance: random.Random, how: str) -> bool:
        """Cut one connection, drawn by *chance*. False: there is none."""
        with self._lock:
            clients = [one for one in self._clients if one in self._pairs and one not in self._doomed]
            if not clients:
                return False
            client = chance.choice(clients)
            if how == "now":
                self._close(client)
            else:
                self._doomed[client if how == "instead of a question" else self._pairs[client]] = None
                self.cuts += 1
        return True

    def lead_to(self, target: int) -> None:
        """As another entry of the name server: whatever there is, or is being opened, is gone."""
        with self._lock:
            self.target = target
            for client in list(self._clients):
                self._close(client)

    def _run(self) -> None:
        while not self._is_over:
            with self._lock:
                ends = [] if self.is_silent else [self._listener, *self._pairs]
            with suppress(OSError, ValueError):  # one was closed meanwhile
                readable, _, _ = select.select([self._woken, *ends], [], [], 0.02)
                for one in readable:
                    if one is self._listener:
                        self._accept()
                    elif one is not self._woken:
                        with self._lock:
                            self._forward(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        target = self.target
        try:
            server = socket.create_connection(("127.0.0.1", target), timeout=5)
        except OSError:
            client.close()
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._pairs[client], self._pairs[server] = server, client
            self._clients.add(client)
            if target != self.target:
                self._close(client)

    def _forward(self, end: socket.socket) -> None:
        if end not in self._pairs:
            return
        try:
            data = end.recv(1 << 16)
            if data and end not in self._doomed:
                self._pairs[end].sendall(data if end in self._clients else data[: self.passes])
                return
        except OSError:
            pass
        if end in self._doomed:
            self.cuts -= 1  # counted when it was ordered
        self._close(end)

    def _close(self, end: socket.socket) -> None:
        other = self._pairs.pop(end)
        del self._pairs[other]
        for one in (end, other):
            self._doomed.pop(one, None)
            self._clients.discard(one)
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.close()
        self.cuts += 1
