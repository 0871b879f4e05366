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


async def test_pieces_are_done_in_order_and_one_that_waits_is_not_added_again(postgres: PostgresServer) -> None:
    done, may_end = list[int](), asyncio.Event()

    async def slow(connection: AsyncBoundedConnection) -> None:
        done.append(1)
        await may_end.wait()

    async def quick(connection: AsyncBoundedConnection) -> None:
        await connection.execute("SELECT 1")
        done.append(2)

    small = PostgresWork(PostgresUrl(postgres.url(), "DATABASE_URL"), "Nothing was done")
    small.later(slow)
    await until(lambda: done == [1])
    for work in (quick, quick, slow):
        small.later(work)
    may_end.set()
    await until(lambda: len(done) == 3)
    small.later(quick)  # after a rest
    await until(lambda: len(done) == 4)
    await small.aclose()
    assert done == [1, 2, 1, 2]


async def test_what_fails_is_logged_without_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    async def work(connection: AsyncBoundedConnection) -> None:
        raise AssertionError

    small = PostgresWork(PostgresUrl("postgresql://u:secret-word@127.0.0.1:1/d", "DATABASE_URL"), "Nothing was done")
    small.later(work)
    await until(lambda: "Nothing was done: " in caplog.text)
    assert "no server listens there" in caplog.text
    assert "secret-word" not in caplog.text
    await small.aclose()


async def test_a_fault_of_ours_is_told_and_the_next_piece_is_done(
    postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    done = list[int]()

    async def broken(connection: AsyncBoundedConnection) -> None:
        raise KeyError("of the test")

    async def sound(connection: AsyncBoundedConnection) -> None:
        done.append(1)

    small = PostgresWork(PostgresUrl(postgres.url(), "DATABASE_URL"), "Nothing was done")
    small.later(broken)
    await until(lambda: "Nothing was done, which is unexpected" in caplog.text)
    assert "in broken" in caplog.text
    small.later(sound)
    await until(lambda: done == [1])
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
