"""Work that nobody waits for: done, or logged and left."""

from __future__ import annotations

import asyncio

import pytest

from app.kit.postgres import AsyncBoundedConnection
from app.kit.postgres_url import PostgresUrl
from app.kit.postgres_work import PostgresWork

from ...support.postgres_server import PostgresServer
from ...support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_each_piece_has_a_connection_of_its_own(postgres: PostgresServer) -> None:
    done = list[int]()

    async def work(connection: AsyncBoundedConnection) -> None:
        (pid,) = await (await connection.execute("SELECT pg_backend_pid()")).fetchone() or (0,)
        done.append(pid)

    small = PostgresWork(PostgresUrl(postgres.url(), "DATABASE_URL"), "Nothing was done")
    small.later(work)
    small.later(work)
    await until(lambda: len(set(done)) == 2)
    await small.aclose()


async def test_what_fails_is_logged_without_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    async def work(connection: AsyncBoundedConnection) -> None:
        raise AssertionError

    small = PostgresWork(PostgresUrl("postgresql://u:secret-word@127.0.0.1:1/d", "DATABASE_URL"), "Nothing was done")
    small.later(work)
    await until(lambda: "Nothing was done: " in caplog.text)
    assert "no server listens there" in caplog.text
    assert "secret-word" not in caplog.text
    await small.aclose()


async def test_an_end_waits_for_nothing(postgres: PostgresServer) -> None:
    begun = asyncio.Event()

    async def work(connection: AsyncBoundedConnection) -> None:
        begun.set()
        await connection.execute("SELECT pg_sleep(60)")

    small = PostgresWork(PostgresUrl(postgres.url(), "DATABASE_URL"), "Nothing was done")
    small.later(work)
    await begun.wait()
    await small.aclose()
