"""An answer of HTTP is the same however it is cut into pieces, and bounded; what is none is refused."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.upstream import answer as module
from app.upstream.answer import Answer, NotHttp
from app.upstream.bounds import MAX_HEADS

from ...support.raw_server import chunk, head, whole

T = TypeVar("T")
BODY = b'{"four": 4}'
LENGTH = b"Content-Length: 11\r\n"
CHUNKED = "Transfer-Encoding: chunked"
TRAILERS = b"0;c\r\nX: y\r\nContent-Type: z\r\n\r\n"
IN_CHUNKS = chunk(BODY[:4]) + chunk(BODY[4:]) + chunk(b"")
CUT = ConnectionError("cut")


def with_transport(work: Callable[[asyncio.Transport], Awaitable[T]]) -> T:
    async def main() -> T:
        ours, theirs = socket.socketpair()
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=ours)
        try:
            return await work(transport)
        finally:
            transport.abort()
            theirs.close()
            await asyncio.sleep(0)

    return asyncio.run(main())


def come_to(pieces: Iterable[bytes]) -> Any:
    """Status, body and whether the connection is kept; or the fault. The connection ends behind *pieces*."""

    async def work(transport: asyncio.Transport) -> Any:
        answer = Answer(transport)
        for piece in pieces:
            answer.feed(piece)
        keeps = answer.keeps_alive
        answer.lose(CUT)
        body = answer.take()
        if answer.fault is not None:
            return type(answer.fault), body
        return answer.status, body, keeps

    return with_transport(work)


def lengths(*values: str, end: str = "\r\n") -> bytes:
    return end.join(["HTTP/1.1 200 OK", *(f"content-Length: {value}" for value in values), "", ""]).encode() + BODY


READ = {
    "a length": (whole(BODY), True),
    "lines that end in LF": (head("Content-Length: 11").replace(b"\r\n", b"\n") + BODY, True),
    "chunks": (head(CHUNKED) + IN_CHUNKS, True),
    "chunks with extensions and trailers": (
        head(CHUNKED) + b"B;a=b;c\r\n" + BODY + b"\r\n0;c\r\nX: y\r\nContent-Type: z\r\n\r\n",
        True,
    ),
    "the end of the connection": (head() + BODY, False),
    "another coding than chunks": (head("Transfer-Encoding: chunked, gzip") + BODY, False),
    "Connection: close": (head("Content-Length: 11", "Connection: foo, Close") + BODY, False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\n" + BODY, False),
    "HTTP/1.0 that stays": (b"HTTP/1.0 200\r\nConnection: keep-alive\r\n" + LENGTH + b"\r\n" + BODY, True),
    "an informational head before it": (head(status="103 Hints") + head("Content-Length: 11") + BODY, True),
    "two equal lengths": (lengths("11", "11"), True),
    "equal lengths in one header": (lengths("11 , 11"), True),
    "equal lengths with LF": (lengths("11", "11,11", end="\n"), True),
    "equal lengths behind a 100": (head(status="100 Continue") + lengths("11", "11"), True),
    "a protocol that is offered": (whole(BODY, "Upgrade: h2c", "Connection: Upgrade"), True),
    "more than one answer": (whole(BODY) + whole(BODY), False),
    "more than one answer in chunks": (head(CHUNKED) + IN_CHUNKS + b"HTTP/1.1 500 Oh\r\n" + LENGTH, False),
    "something behind it": (whole(BODY) + b"x", False),
}
NO_BODY = {
    "204": (head(status="204 No"), 204, True),
    "304": (head("Content-Length: 11", status="304 Same"), 304, True),
    "a length of zero": (head("Content-Length: 0"), 200, True),
    "101": (head("Upgrade: x", "Connection: Upgrade", status="101 Switching") + BODY, 101, False),
}
REFUSED = {
    "no HTTP": (b"\0\1\2 no HTTP\r\n\r\n", b""),
    "a request": (b"POST / HTTP/1.1\r\n" + LENGTH + b"\r\n" + BODY, b""),
    "lengths that differ": (lengths("11", "12"), b""),
    "lengths that differ in form": (lengths("11", "011"), b""),
    "a length with a sign": (lengths("+11"), b""),
    "a length and chunks": (head(CHUNKED, "Content-Length: 11") + IN_CHUNKS, b""),
    "NUL in a header": (whole(BODY, "a: b\0c"), b""),
    "a size that is none": (head(CHUNKED) + chunk(BODY) + b"x\r\n", BODY),
    "a trailer that is none": (head(CHUNKED) + chunk(BODY) + b"0\r\nno trailer\r\n\r\n", BODY),
}
UNFINISHED = {
    "nothing": (b"", b""),
    "a head": (b"HTTP/1.1 200 OK\r\n" + LENGTH, b""),
    "two equal lengths": (lengths("11", "11")[:50], b""),
    "a body with a length": (whole(BODY)[:-1], BODY[:-1]),
    "chunks": (head(CHUNKED) + chunk(BODY), BODY),
}
SHAPES: dict[str, tuple[bytes, Any]] = {
    **{f"read: {name}": (sent, (200, BODY, keeps)) for name, (sent, keeps) in READ.items()},
    **{f"read: {name}": (sent, (status, b"", keeps)) for name, (sent, status, keeps) in NO_BODY.items()},
    **{f"refused: {name}": (sent, (NotHttp, body)) for name, (sent, body) in REFUSED.items()},
    **{f"cut: {name}": (sent, (ConnectionError, body)) for name, (sent, body) in UNFINISHED.items()},
}


@pytest.mark.parametrize("name", SHAPES)
def test_an_answer_is_what_it_is_at_once_and_byte_by_byte(name: str) -> None:
    sent, expected = SHAPES[name]
    assert come_to([sent]) == expected
    assert come_to(sent[at : at + 1] for at in range(len(sent))) == expected


@given(name=st.sampled_from(sorted(SHAPES)), cuts=st.lists(st.integers(0, 200), max_size=5))
def test_it_does_not_matter_where_an_answer_is_cut(name: str, cuts: list[int]) -> None:
    sent, expected = SHAPES[name]
    places = sorted({0, *(cut % (len(sent) + 1) for cut in cuts), len(sent)})
    assert come_to(sent[begin:end] for begin, end in pairwise(places)) == expected


LONG = "x" * module.MAX_HEADER_BYTES
TOO_MUCH = {
    "heads": head(status="100 Continue") * MAX_HEADS + whole(BODY),
    "headers": whole(BODY, *["a: b"] * module.MAX_FIELDS),
    "a header": whole(BODY, f"a: {LONG}"),
    "a name": whole(BODY, f"{LONG}: a"),
    "a reason": whole(BODY, status=f"200 {LONG}{LONG}"),
    "a trailer": head(CHUNKED) + chunk(BODY) + f"0\r\na: {LONG}\r\n\r\n".encode(),
    "an extension": head(CHUNKED) + f"B;{LONG}{LONG}\r\n".encode() + BODY + b"\r\n" + chunk(b""),
}


@pytest.mark.parametrize("what", TOO_MUCH)
@pytest.mark.parametrize("size", [1 << 20, 1000])
def test_too_much_around_a_body_is_refused(what: str, size: int) -> None:
    sent = TOO_MUCH[what]
    assert come_to(sent[at : at + size] for at in range(0, len(sent), size))[0] is NotHttp


def test_as_much_as_the_bounds_allow_is_read() -> None:
    heads = head(status="100 Continue", kind=None) * (MAX_HEADS - 1)
    assert come_to([heads + whole(BODY, *["a: b"] * (module.MAX_FIELDS - 2))]) == (200, BODY, True)
    assert come_to([whole(BODY, f"a: {LONG[:-1]}")]) == (200, BODY, True)


def test_the_first_of_several_headers_is_read() -> None:
    async def work(transport: asyncio.Transport) -> None:
        answer = Answer(transport)
        answer.feed(head(status="100 Continue", kind="a/b") + head("RETRY-after:\t7 \t", "Retry-After: 9", "X: \xe9"))
        assert answer.header(b"retry-after") == "7"
        assert answer.header(b"content-type") == "application/json"
        assert (answer.header(b"x"), answer.header(b"y")) == ("é", "")

    with_transport(work)


def test_the_server_waits_while_much_is_unread() -> None:
    async def work(transport: asyncio.Transport) -> None:
        answer = Answer(transport)
        answer.feed(head("Content-Length: 1000000"))
        answer.feed(b"x" * module.MAX_UNREAD_BYTES)
        assert transport.is_reading()
        answer.feed(b"x")
        assert not transport.is_reading()
        assert len(answer.take()) == module.MAX_UNREAD_BYTES + 1
        assert transport.is_reading()
        answer.feed(b"x" * (1_000_000 - module.MAX_UNREAD_BYTES - 1))
        assert transport.is_reading()  # for the next answer, however much of this one is unread

    with_transport(work)


def test_who_waits_is_woken_for_as_much_as_they_want() -> None:
    async def work(transport: asyncio.Transport) -> None:
        answer = Answer(transport)
        much = asyncio.create_task(answer.begin(6))
        answer.feed(head("Content-Length: 11"))
        await answer.begin(0)
        answer.feed(BODY[:5])
        await asyncio.sleep(0)
        assert not much.done()
        answer.feed(BODY[5:6])
        await asyncio.wait_for(much, 5)

    with_transport(work)


def test_a_cancelled_wait_loses_nothing() -> None:
    async def work(transport: asyncio.Transport) -> None:
        answer = Answer(transport)
        answer.feed(head("Content-Length: 11"))
        reading = asyncio.create_task(answer.read())
        await asyncio.sleep(0)
        answer.feed(BODY[:5])
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        answer.feed(BODY[5:])
        assert (await answer.read(), await answer.read(), answer.is_read) == (BODY, b"", True)

    with_transport(work)


def test_what_came_before_a_fault_is_read_first() -> None:
    async def work(transport: asyncio.Transport) -> None:
        answer = Answer(transport)
        answer.feed(whole(BODY)[:-1])
        answer.lose(CUT)
        assert await answer.read() == BODY[:-1]
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await answer.read()

    with_transport(work)
