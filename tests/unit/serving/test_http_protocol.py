"""One connection, over a pair of sockets: what is refused without becoming a request, and when reading is paused."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import time
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from app.limits.bounds import Bounds
from app.serving.connections import Connections
from app.serving.http_protocol import HttpProtocol
from app.serving.http_request import HttpRequest
from app.serving.silence import HALF_CLOSE_SECONDS

from ...support.waiting import until

FULL = Bounds(connections=0, guests=1)
"""Every connection is a guest: only health is answered."""
Reply = Callable[[HttpProtocol], Awaitable[None]]


async def at_once(protocol: HttpProtocol) -> None:
    return None


def said_to(request: bytes, *, bounds: Bounds | None = None, before_answer: Reply = at_once, ends: bool = False) -> bytes:
    """All that comes back to a caller who sends *request*; *ends*: who then ends their sending."""

    async def work() -> bytes:
        loop = asyncio.get_running_loop()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            while (await receive())["more_body"]:
                pass
            await before_answer(protocol)
            headers = [(b"content-length", b"2"), (b"connection", b"close")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b"ok"})

        config = Config(app, proxy_headers=False, lifespan="off", ws="none", log_config=None)
        config.load()
        ours, theirs = socket.socketpair()
        for one in (ours, theirs):
            one.setblocking(False)
        with theirs:
            await loop.sock_sendall(theirs, request)
            if ends:
                theirs.shutdown(socket.SHUT_WR)
            make = lambda: HttpProtocol(Connections(bounds or Bounds()), config, ServerState(), {})  # noqa: E731
            _, protocol = await loop.connect_accepted_socket(make, ours)
            said = b""
            async with asyncio.timeout(30):
                while more := await loop.sock_recv(theirs, 65536):
                    said += more
        return said

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("path", "headers", "member"),
    [
        ("/ask", "", "code"),
        ("/token", "", "error"),
        ("/v1/chat/completions", "", "error"),
        ("/v1/models", "", "error"),
        ("/v1/models/small", "", "error"),
        ("/v1/models", "anthropic-version: 2023-06-01\r\n", "type"),
        ("/v1/messages", "", "type"),
    ],
)
def test_where_there_is_no_room_each_endpoint_refuses_in_its_own_style(path: str, headers: str, member: str) -> None:
    said = said_to(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode(), bounds=FULL)
    assert said.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close\r\n" in said
    assert member in json.loads(said.partition(b"\r\n\r\n")[2])


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("/livez HTTP/9.9\r\n\r\n", 400),
        (f"/livez HTTP/1.1\r\nCookie: {'a' * 40_000}\r\n\r\n", 431),
        ("/ask HTTP/1.1\r\nHost: x\r\n\r\n", 503),
    ],
)
def test_what_is_refused_early_has_a_body_but_for_head(asked: str, status: int) -> None:
    for method in ("HEAD", "GET"):
        said = said_to(f"{method} {asked}".encode(), bounds=FULL)
        assert said.startswith(b"HTTP/1.1 %d " % status)
        assert (b"content-length: 0" in said, bool(said.partition(b"\r\n\r\n")[2])) == (False, method == "GET")


def test_who_ends_their_sending_with_a_large_body_in_one_read_is_answered() -> None:
    """Reading is not paused behind a whole body: the end would not be noticed, and `look` would take it for a disconnect."""

    async def once_the_end_is_seen(protocol: HttpProtocol) -> None:
        while not protocol._has_ended_sending:
            await asyncio.sleep(0.01)

    request = b"POST /ask HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000
    assert said_to(request, before_answer=once_the_end_is_seen, ends=True).endswith(b"\r\n\r\nok")


def test_a_loop_that_is_late_makes_no_caller_late() -> None:
    """The end was there long before the loop could read it."""

    async def keep_the_loop(protocol: HttpProtocol) -> None:
        time.sleep(2 * HALF_CLOSE_SECONDS)
        await until(lambda: protocol._has_ended_sending)

    assert said_to(b"GET /ask HTTP/1.1\r\nHost: x\r\n\r\n", before_answer=keep_the_loop, ends=True).endswith(b"ok")


def test_a_request_that_is_over_waits_for_no_collector() -> None:
    """A cycle in each request cost the collector 6 % of the CPU of a question, and the worker 3 MB."""
    seen: list[tuple[HttpProtocol, weakref.ref[HttpRequest]]] = []

    async def note(protocol: HttpProtocol) -> None:
        assert protocol._request is not None
        seen.append((protocol, weakref.ref(protocol._request)))

    gc.disable()
    try:
        said_to(b"GET /ask HTTP/1.1\r\nHost: x\r\n\r\n", before_answer=note)
        ((protocol, request),) = seen
        protocol._request = None  # as the next request on this connection has it
        assert request() is None
    finally:
        gc.enable()
