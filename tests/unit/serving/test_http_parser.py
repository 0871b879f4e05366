"""One message after another: heads, bodies, and what is no request."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress

import httptools
import pytest

from app.api.http_errors import MalformedHttp, TooLarge
from app.limits.bounds import Bounds
from app.serving.http_parser import MessageParser

from ...support.tables import for_each

CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


def parser() -> MessageParser:
    return MessageParser(Bounds())


def test_a_head_is_read_into_what_asgi_needs() -> None:
    read = parser()
    head = read.read_head(b"GET /a%20b?q=1 HTTP/1.1\r\nHost: x:80\r\nX-Name: Value\r\nConnection: close\r\n\r\n")
    assert (head.method, head.version, head.path, head.raw_path, head.query) == ("GET", "1.1", "/a b", b"/a%20b", b"q=1")
    assert head.headers == [(b"host", b"x:80"), (b"x-name", b"Value"), (b"connection", b"close")]
    assert (head.keeps_alive, head.expects_continue, read.is_whole) == (False, False, True)


@pytest.mark.parametrize("host", [b"", b"x", b"x:8000", b"[::1]:80", b"127.0.0.1", b"a_b.example", b"a-b.example:"])
def test_a_host_is_a_name_or_an_address_with_or_without_a_port(host: bytes) -> None:
    assert parser().read_head(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n").path == "/"


@for_each(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        *(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n" for host in (b"a/b", b"a b", b"a@b", b"[::1", b"a:b", b"a, b")),
        b"GET\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        *(b"GET / HTTP/" + version + b"\r\nHost: x\r\n\r\n" for version in (b"0.9", b"1.2", b"2.0", b"3")),
    ],
)
def test_what_is_no_head_of_http_1_is_refused(head: bytes) -> None:
    with pytest.raises(MalformedHttp):
        parser().read_head(head)


def test_http_1_0_needs_no_host_and_keeps_no_connection() -> None:
    assert not parser().read_head(b"GET / HTTP/1.0\r\n\r\n").keeps_alive


def test_a_body_of_known_length_ends_where_the_next_request_begins() -> None:
    read = parser()
    read.read_head(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
    assert read.read_body(b"..ab", 2) == (b"ab", 4)
    assert not read.is_whole
    assert read.read_body(b"cdGET /", 0) == (b"cd", 2)
    assert read.is_whole
    assert read.read_head(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n").path == "/next"


@pytest.mark.parametrize("upgrade", [b"Upgrade", b"upgrade", b"UPGRADE"])
def test_an_upgrade_is_ignored_and_its_body_read(upgrade: bytes) -> None:
    read = parser()
    read.read_head(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n" + upgrade + b": h2c\r\nContent-Length: 2\r\n\r\n")
    assert read.read_body(b"ab", 0) == (b"ab", 2)


def test_what_follows_a_chunked_body_is_lost_and_no_fault_of_the_body() -> None:
    read = parser()
    read.read_head(CHUNKED)
    assert read.read_body(b"2\r\nab\r\n0\r\n\r\nGET / HTTP/1.1\r\n", 0)[0] == b"ab"
    assert (read.is_whole, read.is_rest_lost) == (True, True)


def test_a_chunk_that_is_none_breaks_the_body() -> None:
    read = parser()
    read.read_head(CHUNKED)
    with pytest.raises(MalformedHttp):
        read.read_body(b"2\r\nab\r\nno chunk\r\n", 0)


@pytest.mark.parametrize(
    "endless",
    [[b"1", b";a=b" * 1000], [b"1\r\na\r\n0\r\n", b"a: b\r\n" * 1000], [b"", b"1;" + b"a" * 1000 + b"\r\nx\r\n"]],
    ids=["extension", "trailers", "many extensions"],
)
def test_what_is_no_body_is_bounded(endless: list[bytes]) -> None:
    read = parser()
    read.read_head(CHUNKED)
    read.read_body(endless[0] or b"1\r\na\r\n", 0)

    def pour() -> None:
        for _ in range(100):
            read.read_body(endless[1], 0)

    with pytest.raises(TooLarge):
        pour()


def test_chunks_of_one_byte_are_a_body() -> None:
    read = parser()
    read.read_head(CHUNKED)
    assert len(read.read_body(b"1\r\na\r\n" * 100_000, 0)[0]) == 100_000


@for_each(
    ("head", "body"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b""),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", b"ab"),
        (CHUNKED, b"1\r\na\r\n0\r\n\r\n"),
        (CHUNKED, b"5\r\nab"),
        (CHUNKED, b"x\r\n"),
        (CHUNKED.replace(b"Host: x", b"Host: x y"), b""),
    ],
)
def test_nothing_of_it_is_left_to_the_garbage_collector(head: bytes, body: bytes) -> None:
    gc.disable()
    try:
        read = parser()
        with suppress(MalformedHttp):
            read.read_head(head)
            read.read_body(body, 0)
        is_there = weakref.ref(read)
        del read
        assert is_there() is None
    finally:
        gc.enable()


@for_each(
    "lines",
    [
        *([], [b"close"], [b"keep-alive"], [b"Close"], [b" close "], [b"x, CLOSE"], [b"close,x"], [b"x,\tclose\t, y"]),
        *(
            [b"closed"],
            [b"x close"],
            [b"close;q=1"],
            [b'"close"'],
            [b","],
            [b""],
            [b"keep-alive", b"close"],
            [b"close", b"keep-alive"],
        ),
        *([b"close, keep-alive"], [b"upgrade, close"], [b"te, close, te"]),
    ],
)
def test_a_connection_is_kept_as_httptools_would(lines: list[bytes]) -> None:
    class Asked:
        def on_headers_complete(self) -> None:
            self.keeps_alive = theirs.should_keep_alive()

    head = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"Connection: " + line + b"\r\n" for line in lines) + b"\r\n"
    asked = Asked()
    theirs = httptools.HttpRequestParser(asked)
    theirs.feed_data(head)
    assert parser().read_head(head).keeps_alive == asked.keeps_alive
