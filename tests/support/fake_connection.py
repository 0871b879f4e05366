"""One client's connection to the fake: answers leave in the order of requests, and a disconnect is noticed at once."""

from __future__ import annotations

import asyncio
import os
from collections import deque

import httptools

from .fake_modes import DOCUMENTS, PIECE, Call, Counts, Fake


class Connection(asyncio.Protocol):
    """`waiting` holds the unanswered calls; the first of them is being written."""

    transport: asyncio.Transport

    def __init__(self, fake: Fake) -> None:
        self.fake, self.loop = fake, asyncio.get_running_loop()
        self.waiting: deque[Call] = deque()
        self.timer: asyncio.Handle | None = None  # while it is set, nothing else writes
        self.held = b""  # written when the timer ends
        self.full = False  # the client reads more slowly than we write
        self.parser = httptools.HttpRequestParser(self)
        self.on_url(b"")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is no asyncio.Transport by class

    def connection_lost(self, exc: Exception | None) -> None:
        """Also called after our own close, when no call is waiting."""
        if self.timer:
            self.timer.cancel()
        while self.waiting:
            self.waiting.popleft().aborted()

    def eof_received(self) -> None:
        """A half-close counts as a disconnect; bytes already written are still sent."""
        if self.waiting:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_url(self, url: bytes) -> None:
        self.target = url
        self.chunks: list[bytes] = []
        self.headers: list[tuple[bytes, bytes]] = []

    def on_body(self, body: bytes) -> None:
        self.chunks.append(body)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        body = b"".join(self.chunks)
        answer: Call | bytes
        if self.target in DOCUMENTS and self.parser.get_method() == b"POST":
            answer = self.fake.call(self.target, self.headers, body)
        else:
            answer = self.fake.control(self.target, body)
        if not self.waiting and isinstance(answer, bytes):
            self.transport.write(answer)
            return
        self.waiting.append(Call(iter([(0.0, answer)]), Counts()) if isinstance(answer, bytes) else answer)
        self._write()

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        self._write()

    def _write(self) -> None:
        """Write what is due, but not more than the client reads."""
        while self.waiting and not (self.full or self.timer or self.transport.is_closing()):
            data, self.held = self.held, b""
            if not data:
                step = next(self.waiting[0].writes, None)
                if step is None:
                    if self.waiting[0].ending == "silence":
                        return
                    self._end(self.waiting.popleft())
                    continue
                pause, data = step
                if pause:
                    self.held, self.timer = data, self.loop.call_later(pause, self._go_on)
                    return
            if data:
                self.transport.write(data)
            if len(data) >= PIECE:  # let other connections run
                self.timer = self.loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self.timer = None
        self._write()

    def _end(self, call: Call) -> None:
        call.finished()
        if call.ending == "close":
            self.transport.close()
        elif call.ending == "abort":
            self.transport.abort()


async def serve(fake: Fake, port: int, with_parent: bool, host: str = "127.0.0.1") -> None:
    """Serve for ever. Prints the port on stdout; 0 means any free port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(fake), host, port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    if with_parent:  # end when the process that holds our stdin ends, even if it is killed
        loop.add_reader(0, lambda: os.read(0, 4096) or os._exit(0))
    await server.serve_forever()
