"""New connections: several in one turn of the event loop, and none lost at a stop."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import uvloop

from app.serving import acceptor
from app.serving.acceptor import Acceptor
from app.serving.listener import listen

AT_ONCE, WAITING = 16, 40
NewLoop = Callable[[], asyncio.AbstractEventLoop]


class Connected(asyncio.Protocol):
    made = 0

    def connection_made(self, transport: Any) -> None:
        Connected.made += 1
        transport.write(b"hello")
        transport.close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    Connected.made = 0
    made: NewLoop = request.param
    return made


class Listening(ExitStack):
    """*callers* wait to be accepted."""

    def __init__(self, callers: int) -> None:
        super().__init__()
        self.listener = self.enter_context(listen("127.0.0.1", 0))
        address = self.listener.getsockname()
        self.callers = [self.enter_context(socket.create_connection(address, timeout=10)) for _ in range(callers)]


async def turns_until(is_reached: Callable[[], bool]) -> int:
    """How many turns of the event loop it takes."""
    for number in range(200):
        if is_reached():
            return number
        await asyncio.sleep(0)
    raise AssertionError("not reached in 200 turns")


def test_several_are_accepted_in_one_turn(new_loop: NewLoop) -> None:
    async def run() -> None:
        with Listening(WAITING) as given:
            accepting = Acceptor(given.listener, Connected, AT_ONCE)
            assert await turns_until(lambda: Connected.made == WAITING) < WAITING // 2
            await accepting.close()
            assert [caller.recv(9) for caller in given.callers] == [b"hello"] * WAITING

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())


def test_others_wait_for_the_next_turn(new_loop: NewLoop) -> None:
    async def run() -> None:
        with Listening(WAITING) as given:
            accepting = Acceptor(given.listener, Connected, AT_ONCE)
            await turns_until(lambda: Connected.made > 0)
            assert Connected.made <= AT_ONCE
            await accepting.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())


def test_what_was_accepted_is_open_after_the_close_and_nothing_else_is(new_loop: NewLoop) -> None:
    async def run() -> None:
        with Listening(AT_ONCE + 1) as given:
            accepting = Acceptor(given.listener, Connected, AT_ONCE)
            accepting._accept()
            await accepting.close()
            assert Connected.made == AT_ONCE
            await asyncio.sleep(0.05)
            assert Connected.made == AT_ONCE

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())


def test_without_descriptors_it_tries_again_and_says_so(
    new_loop: NewLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, "PAUSE_SECONDS", 0.01)

    class Full:
        """A listener whose process has no descriptor left, the first two times."""

        def __init__(self, listener: socket.socket) -> None:
            self._listener, self.times = listener, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self._listener, name)

        def accept(self) -> Any:
            self.times += 1
            if self.times <= 2:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return self._listener.accept()

    async def run() -> None:
        with Listening(1) as given:
            full: Any = Full(given.listener)
            accepting = Acceptor(full, Connected, AT_ONCE)
            async with asyncio.timeout(10):
                while not Connected.made:
                    await asyncio.sleep(0.01)
            await accepting.close()

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())
    assert [record.message for record in caplog.records] == ["No connection can be accepted now: Too many open files."] * 2


def test_a_connection_that_cannot_be_opened_is_reported_and_delays_nobody(new_loop: NewLoop) -> None:
    made, reported = list[Connected](), list[Any]()

    def make() -> Connected:
        made.append(Connected())
        if len(made) == 1:
            raise RuntimeError("broken")
        return made[-1]

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
        with Listening(2) as given:
            accepting = Acceptor(given.listener, make, AT_ONCE)
            await turns_until(lambda: Connected.made == 1)
            async with asyncio.timeout(10):
                await accepting.close()
            assert [caller.recv(9) for caller in given.callers] == [b"", b"hello"]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(run())
    assert [str(error) for error in reported] == ["broken"]
