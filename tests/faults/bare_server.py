"""A server that answers whatever comes with one line, in a process of its own: it costs a flood's sender, and nobody else.

`python -m tests.faults.bare_server` prints its port, and serves until its stdin ends.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from ..support.paths import ROOT

ANSWER = b"HTTP/1.1 400 Bad Request\r\nx-request-id: %d\r\nContent-Length: 0\r\n\r\n"
NUMBERS = count()


class Answering(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER % next(NUMBERS))


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.read)


@contextmanager
def bare_server() -> Iterator[int]:
    """Its port."""
    command = [sys.executable, "-m", "tests.faults.bare_server"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield int(process.stdout.readline())
        process.stdin.close()


if __name__ == "__main__":
    asyncio.run(serve())
