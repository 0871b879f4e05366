"""The connections to one model's server: opened, lent for a request, kept for a while, closed."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from time import monotonic
from typing import Any

import certifi
from aiohappyeyeballs import start_connection

from . import connection
from .answer import Answer
from .connection import Connection

CONNECT_SECONDS = 10.0
"""A server that does not take a connection for so long is unavailable."""
CONNECTIONS = 1024
"""To one server, of one worker."""
NEXT_ADDRESS_SECONDS = 0.25
"""After which a server's next address is tried, too (RFC 8305)."""
RESOLVED_SECONDS = 10.0


class Pool:
    """Belongs to the event loop that asks first. It follows no redirects, and knows no proxies."""

    def __init__(self, host: str, port: int, *, is_tls: bool) -> None:
        self._host, self._port, self._is_tls = host, port, is_tls
        self._tls: ssl.SSLContext | None = None
        self._resolved: Any = None
        self._resolved_until = 0.0
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []  # the one that was used last is the last
        self._sweeping: asyncio.TimerHandle | None = None

    async def ask(self, request: Sequence[bytes], *, is_fresh: bool = False) -> Answer:
        """Send it, once. *is_fresh*: by a new connection, for this alone. Raises OSError."""
        await self._free.acquire()
        try:
            lent = None if is_fresh else self._usable()
            return (lent or await self._connect(is_kept=not is_fresh)).send(request)
        except BaseException:
            self._free.release()
            raise

    async def try_connection(self) -> None:
        """Open a connection, by TLS where the address has it, and close it. Raises OSError."""
        (await self._connect(is_kept=False)).close()

    async def aclose(self) -> None:
        """Close all connections, at once."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._idle.clear()
        closing = list(self._open)
        for one in closing:
            one.close()
        for one in closing:
            await one.closed.wait()

    def _take_back(self, lent: Connection) -> None:
        self._free.release()
        if lent.is_usable():
            self._idle.append(lent)
            if self._sweeping is None:
                self._sweep_later()

    def _forget(self, closed: Connection) -> None:
        self._open.discard(closed)
        if closed in self._idle:
            self._idle.remove(closed)

    def _usable(self) -> Connection | None:
        while self._idle:
            lent = self._idle.pop()
            if lent.is_usable():
                return lent
            lent.close()
        return None

    def _sweep_later(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(connection.KEEP_ALIVE_SECONDS, self._sweep)

    def _sweep(self) -> None:
        for one in self._idle:
            if not one.is_usable():
                one.close()
        self._idle = [one for one in self._idle if one.is_usable()]
        self._sweeping = None
        if self._idle:
            self._sweep_later()

    async def _connect(self, *, is_kept: bool) -> Connection:
        loop = asyncio.get_running_loop()
        if self._is_tls and self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.load_verify_locations(certifi.where())  # a slim container has none of its own
        opened = Connection(self._take_back, self._forget, is_kept=is_kept)
        async with asyncio.timeout(CONNECT_SECONDS):
            sock = await start_connection(await self._addresses(), happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, interleave=1)
            try:
                await loop.create_connection(
                    lambda: opened,
                    sock=sock,
                    ssl=self._tls,
                    server_hostname=self._host.rstrip(".") if self._is_tls else None,
                )
            except BaseException:
                sock.close()
                raise
        if not opened.closed.is_set():
            self._open.add(opened)
        return opened

    async def _addresses(self) -> Any:
        """As `getaddrinfo` gives them."""
        if monotonic() > self._resolved_until:
            host, port, kind = self._host.encode(), self._port, socket.SOCK_STREAM
            try:
                self._resolved = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
            except socket.gaierror:  # a name
                loop = asyncio.get_running_loop()
                self._resolved = await loop.getaddrinfo(host, port, type=kind, flags=socket.AI_ADDRCONFIG)
            self._resolved_until = monotonic() + RESOLVED_SECONDS
        return self._resolved
