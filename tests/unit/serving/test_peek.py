"""What the kernel knows of a connection, and an answer that a close does not discard; over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from app.serving.peek import has_left, has_sent, write_last


def on_a_connection(check: Callable[[socket.socket, asyncio.Transport], None]) -> None:
    async def run() -> None:
        loop, (caller, ours) = asyncio.get_running_loop(), socket.socketpair()
        with caller:
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
            transport.pause_reading()
            check(caller, transport)
            transport.close()
            await asyncio.sleep(0)

    asyncio.run(run())


def test_what_was_sent_and_who_has_left_is_seen_without_reading() -> None:
    def check(caller: socket.socket, transport: asyncio.Transport) -> None:
        assert (has_sent(transport), has_left(transport)) == (False, False)
        caller.sendall(b"GET /")
        assert (has_sent(transport), has_left(transport)) == (True, False)
        caller.close()
        assert has_left(transport)

    on_a_connection(check)


def test_a_last_answer_is_read_although_the_request_was_not() -> None:
    def check(caller: socket.socket, transport: asyncio.Transport) -> None:
        caller.sendall(b"GET /")
        write_last(transport, b"503")
        assert not has_sent(transport)
        assert caller.recv(10) == b"503"

    on_a_connection(check)
