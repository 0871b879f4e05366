"""The listening socket: what opens it, and how it ends without a reset."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress

import pytest
import uvloop

from app.errors import ConfigError
from app.serving.listener import ACCEPTED_AT_ONCE, UNREAD_BYTES, UNSENT_BYTES, accepting, all_accepted, begin_no_more, listen


def test_a_port_that_is_taken_is_refused_with_what_to_do() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="Choose another with --port"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_a_host_that_is_not_here_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="Choose another with --host"):
        listen("192.0.2.1", 0)


def taken(sender: socket.socket) -> int:
    """How many bytes the kernel takes of what nobody reads."""
    count = 0
    sender.settimeout(0.5)
    with suppress(TimeoutError):
        while True:
            count += sender.send(bytes(1 << 16))
    return count


def test_of_an_answer_that_nobody_reads_the_kernel_keeps_little() -> None:
    with listen("127.0.0.1", 0) as listener, socket.socket() as silent:
        silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        silent.connect(listener.getsockname())
        accepted, _ = listener.accept()
        with accepted:
            assert UNSENT_BYTES / 2 < taken(accepted) <= 3 * UNSENT_BYTES


def test_of_what_is_sent_and_not_read_the_kernel_keeps_little() -> None:
    """Also of a caller whose bytes were read fast before: by itself it would keep more then."""
    with listen("127.0.0.1", 0) as listener, socket.socket() as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        sender.connect(listener.getsockname())
        accepted, _ = listener.accept()
        sender.setblocking(False)
        accepted.setblocking(False)
        with accepted:
            for _ in range(1000):
                with suppress(BlockingIOError):
                    sender.send(bytes(1 << 16))
                with suppress(BlockingIOError):
                    accepted.recv(1 << 20)
            assert UNREAD_BYTES / 2 < taken(sender) <= 3 * UNREAD_BYTES


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_what_waits_is_accepted_and_nothing_else_begins(host: str) -> None:
    with listen(host, 0) as listener:
        waiting = socket.create_connection(listener.getsockname()[:2])
        begin_no_more(listener)
        with socket.socket(listener.family) as late:
            late.settimeout(0.2)
            with pytest.raises(TimeoutError):
                late.connect(listener.getsockname()[:2])
            accepted, _ = listener.accept()
            waiting.sendall(b"question")
            assert accepted.recv(100) == b"question"
            accepted.sendall(b"answer")
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()
        accepted.close()
        assert waiting.recv(100) == b"answer"
        waiting.close()


def test_a_worker_waits_until_all_are_accepted() -> None:
    async def work() -> None:
        with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
            waiting = asyncio.create_task(all_accepted([listener]))
            await asyncio.sleep(0)
            assert not waiting.done()
            accepted, _ = listener.accept()
            accepted.close()
            await waiting

    asyncio.run(work())


def test_a_listener_that_others_accept_on_never_blocks_them() -> None:
    with listen("127.0.0.1", 0) as listener:
        os.set_blocking(listener.fileno(), False)  # as a worker that accepts has set it
        several = accepting(listener)
        assert [os.get_blocking(one.fileno()) for one in several] == [False] * ACCEPTED_AT_ONCE
        for one in several:
            one.close()


def test_several_who_wait_are_accepted_in_one_turn_of_the_loop() -> None:
    waiting, turns, accepted = 10 * ACCEPTED_AT_ONCE, 0, list[int]()

    class Counting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted.append(turns)
            transport.close()

    async def work() -> None:
        nonlocal turns
        loop = asyncio.get_running_loop()
        with listen("127.0.0.1", 0) as listener:
            callers = [socket.create_connection(listener.getsockname()) for _ in range(waiting)]
            servers = [await loop.create_server(Counting, sock=one) for one in accepting(listener)]
            async with asyncio.timeout(5):
                while len(accepted) < waiting:
                    turns += 1
                    await asyncio.sleep(0)
            for server in servers:
                server.close()
            for caller in callers:
                caller.close()

    uvloop.run(work())
    most = max(accepted.count(turn) for turn in accepted)
    assert 1 < most <= ACCEPTED_AT_ONCE
