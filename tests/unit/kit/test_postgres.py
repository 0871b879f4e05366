"""Connections that do not wait for ever: a stopped server, and a pooler."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from app.errors import ConfigError
from app.kit import postgres as connections
from app.kit.postgres import connect, connect_async
from app.kit.postgres_url import PostgresUrl

from ...support.pgbouncer import pgbouncer
from ...support.postgres_server import PostgresServer
from ...support.waiting import eventually

pytestmark = pytest.mark.slow


def url(text: str) -> PostgresUrl:
    return PostgresUrl(text, "DATABASE_URL")


def test_a_server_that_stands_still_closes_the_connection(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.3)
    with connect(url(postgres.url()), search_path="pg_catalog") as connection:
        (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(psycopg.OperationalError, match="the server did not answer in time"):
            connection.execute("SELECT 1")
        assert connection.closed
        os.kill(pid, signal.SIGCONT)


@pytest.mark.anyio
@pytest.mark.parametrize(("patience", "expected"), [(0.2, TimeoutError), (30.0, psycopg.errors.ConnectionTimeout)])
async def test_who_does_not_get_a_connection_leaves_none_half_open(patience: float, expected: type[Exception]) -> None:
    """Cancelled, or refused after `CONNECT_SECONDS`, while somebody still holds the error."""
    ended = asyncio.Queue[bytes]()

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.put_nowait(await reader.read())
        writer.close()

    async with await asyncio.start_server(keep_silent, "127.0.0.1") as server:
        place = url(f"postgresql://role@127.0.0.1:{server.sockets[0].getsockname()[1]}/name?connect_timeout=2")
        with pytest.raises(expected) as held:
            await asyncio.wait_for(connect_async(place), patience)
        assert await asyncio.wait_for(ended.get(), 10)
    assert held.value


def test_a_commit_that_waits_for_no_standby_any_more_fails() -> None:
    """The server calls it a success, with a warning: the change is on that server alone."""
    with PostgresServer() as server, ThreadPoolExecutor(1) as others:
        server.query("CREATE TABLE kept (n int)")
        server.reload(synchronous_standby_names="nobody")
        with connect(url(server.url())) as connection:
            cancelling = others.submit(eventually, lambda: server.cancel_waits() > 0)
            with pytest.raises(psycopg.OperationalError, match="gave up its wait for the standby"), connection.transaction():
                connection.execute("INSERT INTO kept VALUES (1)")
            cancelling.result()
            assert connection.closed
        assert server.query("SELECT n FROM kept") == [(1,)]


def test_what_a_vanished_node_holds_is_soon_free(postgres: PostgresServer) -> None:
    with connect(url(postgres.url())) as connection:
        for name, value in connections.SERVER_SIDE.items():
            assert str((connection.execute(f"SHOW {name}").fetchone() or ("",))[0]).rstrip("s") == value.rstrip("s"), name


def test_a_pooler_is_refused_with_a_sentence(postgres: PostgresServer) -> None:
    with pgbouncer(postgres) as address, pytest.raises(ConfigError, match="DATABASE_URL leads to a connection pooler such as"):
        connect(url(address))
