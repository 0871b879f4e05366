"""A server that answers each request with whatever bytes, pauses and closings a test wants; in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Self, TypeAlias

import orjson


class End(Enum):
    CLOSE = "close"
    RESET = "reset"


Answer: TypeAlias = "Iterable[bytes | float | End]"
"""Bytes to write, seconds to wait, and maybe the end of the connection."""


@dataclass(frozen=True)
class Request:
    connection: int
    """The number of its connection, from 0."""
    number: int
    """Its own number on that connection, from 0."""
    body: bytes
    head: bytes = field(default=b"", compare=False)
    """Its first line and its headers."""


class RawServer:
    """`with RawServer(answer) as server: … server.base_url`. *answer* may be changed while it runs."""

    def __init__(self, answer: Callable[[Request], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.answer, self._tls = answer, tls
        self.requests: list[Request] = []
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    @property
    def base_url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20, ssl=self._tls))
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _stop(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection, self.connections = self.connections, self.connections + 1
        number = 0
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                request = Request(connection, number, await reader.readexactly(int(lengths[0])), head)
                self.requests.append(request)
                number += 1
                for step in self.answer(request):
                    if step is End.RESET:  # no FIN but an RST
                        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    if isinstance(step, End):
                        raise ConnectionError
                    if isinstance(step, bytes):
                        writer.write(step)
                        await writer.drain()
                    else:
                        await asyncio.sleep(step)
        writer.close()


def head(*headers: str, status: str = "200 OK", kind: str | None = "application/json") -> bytes:
    """The head of an answer, with its blank line."""
    lines = [f"HTTP/1.1 {status}", *([f"Content-Type: {kind}"] if kind else []), *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def whole(body: bytes, *headers: str, status: str = "200 OK", kind: str | None = "application/json") -> bytes:
    """An answer with its Content-Length."""
    return head(f"Content-Length: {len(body)}", *headers, status=status, kind=kind) + body


def chunk(data: bytes) -> bytes:
    """*data* as one chunk; none is the last."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def chat(text: str = "four", **members: object) -> bytes:
    """A plain chat completion."""
    message = {"role": "assistant", "content": text}
    return orjson.dumps(
        {"id": "x", "model": "small-1", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **members}
    )


def events(*texts: str) -> bytes:
    """The same as a stream of chunks."""
    deltas = [{"index": 0, "delta": {"content": text}, "finish_reason": None} for text in texts]
    choices = [*deltas, {"index": 0, "delta": {}, "finish_reason": "stop"}]
    chunks = [orjson.dumps({"id": "x", "model": "small-1", "choices": [choice]}) for choice in choices]
    return b"".join(b"data: %b\n\n" % one for one in [*chunks, b"[DONE]"])
