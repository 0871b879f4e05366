"""News over a real server: told at once, missed while it is away, and looked at after it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from app.kit.postgres import AsyncBoundedConnection, connect_async
from app.kit.postgres_listener import PostgresListener
from app.kit.postgres_url import PostgresUrl

from ...support.postgres_server import PostgresServer
from ...support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


async def test_news_come_at_once_and_after_a_restart_everything_is_looked_at(server: PostgresServer) -> None:
    heard = list[str]()
    server.query("CREATE TABLE seen (n int)")
    url = PostgresUrl(server.url(), "DATABASE_URL")
    listener = PostgresListener(url, "changes", heard.append, probe="SELECT count(*) FROM seen")
    task = asyncio.create_task(listener.run())
    await until(lambda: heard == [""])
    await asyncio.to_thread(server.query, "SELECT pg_notify('changes', 'breakers')")
    await until(lambda: heard == ["", "breakers"])
    await asyncio.to_thread(server.query, "INSERT INTO seen VALUES (1)")  # of which nothing is told
    await until(lambda: heard == ["", "breakers", ""])
    await asyncio.to_thread(server.crash)
    await until(lambda: not listener.is_connected)
    await asyncio.to_thread(server.start)
    await until(lambda: heard == ["", "breakers", "", ""])
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_fault_while_it_connects_is_told_with_its_place_and_tried_again(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard, faults = list[str](), [TypeError("of the test"), RuntimeError("of the test")]

    async def connect(url: PostgresUrl) -> AsyncBoundedConnection:
        if faults:
            raise faults.pop(0)
        return await connect_async(url)

    monkeypatch.setattr("app.kit.postgres_listener.connect_async", connect)
    task = asyncio.create_task(PostgresListener(PostgresUrl(server.url(), "DATABASE_URL"), "changes", heard.append).run())
    await until(lambda: heard == [""])
    task.cancel()
    await asyncio.wait([task])
    told = [one.exc_info[0] for one in caplog.records if one.exc_info and "failed unexpectedly" in one.message]
    assert told == [TypeError, RuntimeError]
    assert "in connect" in caplog.text


async def test_a_fault_of_ours_does_not_end_it(server: PostgresServer, caplog: pytest.LogCaptureFixture) -> None:
    heard = list[str]()

    def hear(table: str) -> None:
        heard.append(table)
        if len(heard) == 1:
            raise KeyError(table)

    task = asyncio.create_task(PostgresListener(PostgresUrl(server.url(), "DATABASE_URL"), "changes", hear).run())
    await until(lambda: heard == ["", ""])
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert "KeyError" in caplog.text
