"""Connections: reused while they are young; asked once more where an idle one is closed; over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from itertools import chain, repeat
from typing import Any

import pytest

from app.catalogue.models import Server
from app.errors import UpstreamError, UpstreamUnavailable
from app.upstream import connection, pool
from app.upstream.attempts import Attempts
from app.upstream.call import PreparedCall
from app.upstream.client import Upstream
from app.upstream.completion import Reply
from app.upstream.connection import _keep_seconds
from app.upstream.event_source import EventSource
from app.upstream.protocol.chat import CHAT
from app.upstream.resilience.loop import AttemptLoop

from ...support.raw_server import Answer, End, RawServer, Request, chat, chunk, events, head, whole
from ...support.roads import road

Ask = Callable[[Upstream, Attempts], Awaitable[str | None]]


async def plain(upstream: Upstream, attempts: Attempts) -> str | None:
    async def send(call: PreparedCall, attempts: Attempts, is_fresh: bool) -> Reply:
        return await upstream.complete(CHAT, call.body, "m", attempts=attempts, is_fresh=is_fresh)

    return (await AttemptLoop().answer(road(upstream, attempts, most=0), send)).completion.text


async def streamed(upstream: Upstream, attempts: Attempts) -> str | None:
    async def send(call: PreparedCall, attempts: Attempts, is_fresh: bool) -> EventSource:
        return await upstream.open_stream(CHAT, call.body, attempts, is_fresh=is_fresh)

    source = await AttemptLoop().answer(road(upstream, attempts, most=0), send)
    reader = CHAT.reader("m", False)
    while not reader.is_over:
        read = await source.read()
        for event in read or ():
            reader.feed(event)
        if read is None:
            reader.end()
    source.finish()
    await asyncio.sleep(0.05)  # until the end of the stream has come
    source.close()
    return reader.completion().text


async def ask_each(server: RawServer, *asks: Ask, pause: float = 0.0, **members: Any) -> list[Attempts | UpstreamError]:
    """Ask one after the other by one Upstream; what each came to."""
    upstream = Upstream(Server("fake", server.base_url, "k", **members))
    came: list[Attempts | UpstreamError] = []
    try:
        for ask in asks:
            attempts = Attempts()
            try:
                assert await ask(upstream, attempts) == "four"
                came.append(attempts)
            except UpstreamError as error:
                came.append(error)
            await asyncio.sleep(pause)
    finally:
        await upstream.aclose()
    return came


def good(request: Request) -> Answer:
    if request.body == b"{}":
        return [whole(chat())]
    raise AssertionError(request)


def good_stream(_: Request) -> Answer:
    return [head("Transfer-Encoding: chunked", kind="text/event-stream"), chunk(events("fo", "ur")), chunk(b"")]


GOOD: dict[Ask, Callable[[Request], Answer]] = {plain: good, streamed: good_stream}


def counts(came: list[Attempts | UpstreamError]) -> list[Any]:
    return [(one.count, one.retried) if isinstance(one, Attempts) else type(one) for one in came]


@pytest.mark.parametrize("ask", GOOD)
@pytest.mark.parametrize("end", End)
def test_where_an_idle_connection_is_closed_a_new_one_is_tried_once(ask: Ask, end: End) -> None:
    """Each connection answers once, as in the race with a server's idle timeout."""

    def answer(request: Request) -> Answer:
        return GOOD[ask](request) if request.number == 0 else [end]

    with RawServer(answer) as server:
        came = asyncio.run(ask_each(server, ask, ask, ask))
    assert counts(came) == [(1, None), (2, "idle_close"), (1, None)]  # the new connection is not kept
    assert [request.connection for request in server.requests] == [0, 0, 1, 2]
    assert len({attempts.response_sha256 for attempts in came if isinstance(attempts, Attempts)}) == 1


def test_it_is_not_asked_a_third_time() -> None:
    with RawServer(lambda request: good(request) if request == Request(0, 0, b"{}") else [End.CLOSE]) as server:
        came = asyncio.run(ask_each(server, plain, plain))
    assert counts(came) == [(1, None), UpstreamUnavailable]
    assert len(server.requests) == 3


def test_it_is_not_asked_again_where_the_server_forbids_it() -> None:
    with RawServer(lambda request: good(request) if request.number == 0 else [End.CLOSE]) as server:
        came = asyncio.run(ask_each(server, plain, plain, retry_idle_close=False))
    assert counts(came) == [(1, None), UpstreamUnavailable]
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("number", "steps"),
    [
        (0, [End.CLOSE]),  # a new connection
        (0, [End.RESET]),
        (1, [b"H", 0.05, End.CLOSE]),  # a byte of the answer
        (1, [b"HTTP/1.1 100 Continue\r\n\r\n", 0.05, End.CLOSE]),
        (1, [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 0.05, End.RESET]),
        (1, [1.3, End.CLOSE]),  # more than a second
    ],
)
@pytest.mark.slow
def test_it_is_not_asked_again_in_any_other_case(number: int, steps: list[bytes | float | End]) -> None:
    with RawServer(lambda request: steps if request.number == number else good(request)) as server:
        came = asyncio.run(ask_each(server, *[plain] * (number + 1)))
    assert isinstance(came[-1], UpstreamUnavailable)
    assert len(server.requests) == number + 1


def test_a_server_that_takes_no_connection_is_soon_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECT_SECONDS", 0.2)
    with ExitStack() as opened:
        full = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # nobody accepts them: later ones wait in vain
            waiting = opened.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())

        async def ask() -> None:
            upstream = Upstream(Server("full", f"http://127.0.0.1:{full.getsockname()[1]}/v1", "k"))
            try:
                async with asyncio.timeout(5):
                    with pytest.raises(UpstreamUnavailable):
                        await plain(upstream, Attempts())
            finally:
                await upstream.aclose()

        asyncio.run(ask())


@pytest.mark.slow
def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connection.KEEP_ALIVE_SECONDS < 5, "uvicorn and vLLM close idle connections after 5 s"
    monkeypatch.setattr(connection, "KEEP_ALIVE_SECONDS", 0.3)
    with RawServer(good) as server:
        asyncio.run(ask_each(server, plain, plain))
        assert server.connections == 1
        asyncio.run(ask_each(server, plain, plain, pause=0.5))
        assert server.connections == 3


@pytest.mark.parametrize(("told", "connections"), [("timeout=1", 2), ("timeout=60", 1), ("max=100, TIMEOUT=1", 2), ("odd", 1)])
def test_the_servers_own_keep_alive_is_obeyed(told: str, connections: int) -> None:
    with RawServer(lambda _: [whole(chat(), f"Keep-Alive: {told}")]) as server:
        asyncio.run(ask_each(server, plain, plain))
    assert server.connections == connections


@pytest.mark.parametrize(
    ("told", "seconds"), [("timeout=3", 2), ("timeout=5", 4), ("timeout=600", 4), ("timeout=0", -1), ("", 4), ("xtimeout=2", 4)]
)
def test_a_second_less_than_the_server_says_and_never_more_than_our_own(told: str, seconds: float) -> None:
    assert _keep_seconds(told) == seconds


@pytest.mark.slow
def test_bytes_that_nobody_asked_for_are_no_answer_to_the_next_question() -> None:
    """A server that ends an idle connection with a 408, or two answers to one question."""
    unasked = whole(chat("an answer to nobody"))
    with RawServer(lambda request: [whole(chat()), 0.05, unasked] if request.connection == 0 else good(request)) as server:
        came = asyncio.run(ask_each(server, plain, plain, pause=0.3))
    assert counts(came) == [(1, None), (1, None)]
    assert server.connections == 2


def lengths(*values: object) -> bytes:
    """An answer with a Content-Length for each of *values*."""
    return "".join(["HTTP/1.1 200 OK\r\n", *(f"Content-length: {value}\r\n" for value in values), "\r\n"]).encode() + chat()


@pytest.mark.parametrize("form", ["{0}", "{0} ", "{0}, {0}"])
def test_equal_lengths_are_one_and_the_connection_is_used_again(form: str) -> None:
    length = form.format(len(chat()))
    with RawServer(lambda _: [lengths(length, len(chat()), length)]) as server:
        came = asyncio.run(ask_each(server, plain, plain))
    assert all(isinstance(one, Attempts) for one in came), came
    assert server.connections == 1


@pytest.mark.parametrize("values", [(7, len(chat())), (len(chat()), f"0{len(chat())}"), (len(chat()), f"+{len(chat())}")])
def test_lengths_that_differ_are_refused(values: tuple[object, ...]) -> None:
    with RawServer(lambda _: [lengths(*values)]) as server:
        assert type(asyncio.run(ask_each(server, plain))[0]) is UpstreamError


ENDLESS = {
    "heads": (b"", b"HTTP/1.1 100 \r\n\r\n" * 100),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000),
    "trailers": (head("Transfer-Encoding: chunked") + b"0\r\n", b"a: b\r\n" * 1000),
    "an extension": (head("Transfer-Encoding: chunked") + b"1", b";a" * 3000),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_an_answer_is_ended_that_is_endless_but_for_its_body(what: str) -> None:
    begin, more = ENDLESS[what]
    with RawServer(lambda _: chain([begin], repeat(more))) as server:
        (came,) = asyncio.run(ask_each(server, plain))
    assert isinstance(came, UpstreamError)


def test_a_body_in_chunks_of_one_byte_is_read() -> None:
    body = chat("four", padding="x" * 300_000)
    pieces = [head("Transfer-Encoding: chunked"), b"".join(chunk(bytes([byte])) for byte in body), chunk(b"")]
    with RawServer(lambda _: pieces) as server:
        (came,) = asyncio.run(ask_each(server, plain))
    assert isinstance(came, Attempts)
