"""Connections are opened, lent, kept for a while and closed; TLS is verified; over real sockets, on both event loops."""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import certifi
import pytest
import uvloop

from app.upstream import connection, pool
from app.upstream.connection import Disconnected
from app.upstream.pool import Pool

from ...support.nginx import make_certificate
from ...support.optional import leave_out
from ...support.raw_server import head, whole
from ...support.waiting import until

HEAD = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"


class Served:
    """What a server of a test has seen."""

    def __init__(self) -> None:
        self.connections = self.ended = 0
        self.name: str | None = None
        """That of SNI."""
        self.may_answer = asyncio.Event()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Any]], None]:
    def run_by(work: Callable[[], Any]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(30):
                await work()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return run_by


@asynccontextmanager
async def serving(
    host: str = "127.0.0.1", *, asked: str | None = None, tls: ssl.SSLContext | None = None, answer: bytes = whole(b"four")
) -> AsyncIterator[tuple[Pool, Served]]:
    """A server that answers each request once it may, and its pool. *asked*: the name to connect to."""
    served = Served()
    served.may_answer.set()

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        served.connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n{}"):
                ending = asyncio.ensure_future(reader.read(1))
                waiting = asyncio.ensure_future(served.may_answer.wait())
                await asyncio.wait({ending, waiting}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if ending.done():
                    break
                ending.cancel()
                with suppress(asyncio.CancelledError):
                    await ending
                writer.write(answer)
        served.ended += 1
        writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    opened = Pool(asked or host, port, is_tls=tls is not None)
    try:
        yield opened, served
    finally:
        await opened.aclose()
        assert not opened._open
        await until(lambda: served.ended == served.connections)
        server.close()
        await server.wait_closed()


async def read(opened: Pool, *, is_fresh: bool = False) -> bytes:
    answer = await opened.ask((HEAD, b"{}"), is_fresh=is_fresh)
    await answer.begin(1 << 20)
    return answer.take()


def test_a_connection_is_used_again_and_a_fresh_one_is_not(run: Any) -> None:
    async def work() -> None:
        async with serving() as (opened, served):
            for is_fresh, connections in ((False, 1), (False, 1), (True, 2), (False, 2)):
                assert await read(opened, is_fresh=is_fresh) == b"four"
                assert served.connections == connections
            await until(lambda: served.ended == 1)

    run(work)


def test_an_idle_connection_is_closed_after_a_while(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "KEEP_ALIVE_SECONDS", 0.1)

    async def work() -> None:
        async with serving() as (opened, served):
            await asyncio.gather(*[read(opened) for _ in range(3)])
            await until(lambda: served.ended == 3 and not opened._open)
            assert not opened._idle

    run(work)


def test_no_more_connections_are_opened_than_allowed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECTIONS", 2)

    async def work() -> None:
        async with serving() as (opened, served):
            served.may_answer.clear()
            asking = [asyncio.create_task(read(opened)) for _ in range(6)]
            await until(lambda: served.connections == 2)
            served.may_answer.set()
            assert await asyncio.gather(*asking) == [b"four"] * 6
            assert served.connections == 2

    run(work)


def test_who_could_not_connect_takes_no_connection_from_others(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "CONNECTIONS", 1)

    async def work() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
            opened = Pool("127.0.0.1", taken.getsockname()[1], is_tls=False)
            for _ in range(3):
                with pytest.raises(ConnectionRefusedError):
                    await read(opened)

    run(work)


def test_who_leaves_closes_the_connection(run: Any) -> None:
    async def work() -> None:
        async with serving() as (opened, served):
            served.may_answer.clear()
            answer = await opened.ask((HEAD, b"{}"))
            await until(lambda: served.connections == 1)
            answer.release()
            await until(lambda: served.ended == 1 and not opened._open)
            with pytest.raises(Disconnected):
                await answer.begin(0)

    run(work)


def test_at_a_stop_who_waits_hears_of_it(run: Any) -> None:
    async def work() -> None:
        async with serving() as (opened, served):
            served.may_answer.clear()
            asking = asyncio.create_task(read(opened))
            await until(lambda: served.connections == 1)
            await opened.aclose()
            with pytest.raises(Disconnected):
                await asking

    run(work)


@pytest.mark.parametrize("last", ["", "Connection: close"])
def test_an_answer_is_read_that_comes_before_the_request_is_sent(run: Any, last: str) -> None:
    """A server that does not take so long a body; what is left of it is not sent."""
    over = asyncio.Event()

    async def refuse(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head("Content-Length: 2", *filter(None, [last]), status="413 Too Large") + b"no")
        await over.wait()
        writer.close()

    async def work() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=1 << 16)
        opened = Pool("127.0.0.1", server.sockets[0].getsockname()[1], is_tls=False)
        answer = await opened.ask((HEAD.replace(b"2", b"90000000"), b"x" * 90_000_000))
        await answer.begin(2)
        assert (answer.status, answer.take(), opened._idle) == (413, b"no", [])
        await until(lambda: not opened._open)
        over.set()
        server.close()
        await server.wait_closed()

    run(work)


def server_context(folder: Path, served: list[str | None], *names: str) -> ssl.SSLContext:
    make_certificate(folder, *names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.pem", folder / "tls.key")
    context.sni_callback = lambda _, name, __: served.append(name)
    return context


def test_the_servers_name_is_sent_and_verified(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = list[str | None]()
    tls = server_context(tmp_path, names, "localhost")

    async def work() -> None:
        async with serving(tls=tls, asked="localhost") as (opened, _):
            with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
                await read(opened)
        monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "tls.pem"))
        async with serving(tls=tls, asked="localhost") as (opened, served):
            assert [await read(opened), await read(opened)] == [b"four", b"four"]
            assert served.connections == 1
        async with serving(tls=tls) as (opened, _):
            with pytest.raises(ssl.SSLCertVerificationError, match="IP address mismatch"):
                await read(opened)

    run(work)
    assert set(names) == {"localhost", None}


def test_the_next_address_of_a_name_is_tried(run: Any) -> None:
    """Nobody listens at ::1, which comes first where the system has it."""

    async def work() -> None:
        async with serving(asked="localhost") as (opened, _):
            assert await read(opened) == b"four"

    run(work)


def test_an_address_of_ipv6_is_reached(run: Any) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        leave_out("there is no IPv6")

    async def work() -> None:
        async with serving("::1") as (opened, _):
            assert await read(opened) == b"four"

    run(work)
