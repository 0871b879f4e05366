"""Breakers over machines: opened and closed together, by a server's answers and by an operator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.catalogue.rules import BreakerRules
from app.errors import ServerUnavailable
from app.kit.postgres_listener import PostgresListener
from app.kit.postgres_url import PostgresUrl
from app.limits.shared_folder import SharedFolder
from app.upstream.resilience.breaker import Breaker, Entry, Outcome
from app.wiring.breaker_rows import BreakerRows, close_everywhere, told
from app.wiring.breakers import SharedBreakers
from app.wiring.news import CHANNEL

from ...support.postgres_clients import make_clients
from ...support.postgres_server import PostgresServer
from ...support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
RULES = BreakerRules(failures=1, open_seconds=60)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def url(postgres: PostgresServer) -> PostgresUrl:
    return make_clients(postgres)


@asynccontextmanager
async def machine(url: PostgresUrl, name: str, folder: Path) -> AsyncIterator[Breaker]:
    """Its breaker of the server `lab`."""
    shared = SharedFolder(folder / name)
    breakers = SharedBreakers(shared)
    breaker = breakers("lab", RULES)
    rows = BreakerRows(url, name, breakers)
    breakers.on_change = rows.tell
    listener = PostgresListener(url, CHANNEL, lambda table: rows.news())
    task = asyncio.create_task(listener.run())
    await until(lambda: listener.is_connected)
    yield breaker
    task.cancel()
    await asyncio.wait([task])
    await rows.work.aclose()
    breaker.close()
    shared.close()


async def test_what_one_machine_opens_and_closes_the_others_do_too(url: PostgresUrl, tmp_path: Path) -> None:
    async with machine(url, "node-1", tmp_path) as one, machine(url, "node-2", tmp_path) as other:
        one.leave(one.enter(), Outcome.BAD)
        await until(lambda: other.is_open)
        assert other.enter() is Entry.REFUSED
        assert 50 < told(url)["lab"] <= 60
        one.leave(Entry.TRIAL, Outcome.GOOD)
        await until(lambda: not other.is_open)
        assert told(url) == {"lab": 0.0}


async def test_a_tell_that_comes_late_does_not_undo_a_later_change(
    url: PostgresUrl, postgres: PostgresServer, tmp_path: Path
) -> None:
    """Of two workers of one machine: the first one's waits in the database while the second closes it."""
    shared = SharedFolder(tmp_path / "node-1")
    workers = [SharedBreakers(shared) for _ in range(2)]
    first, second = (worker("lab", RULES) for worker in workers)
    rows = [BreakerRows(url, "node-1", worker) for worker in workers]
    database = url.parameters()["dbname"]
    with postgres.connect(database) as holder, holder.transaction():
        first.leave(first.enter(), Outcome.BAD)
        holder.execute("LOCK TABLE assistant.breakers IN EXCLUSIVE MODE")
        rows[0].tell(first)
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'assistant.breakers'::regclass"
        await until(lambda: postgres.query(waiting, database=database)[0][0] == 1)
        second.leave(Entry.TRIAL, Outcome.GOOD)
    await until(lambda: told(url).get("lab") == 0.0)
    for one in rows:
        await one.work.aclose()
    for breaker in (first, second):
        breaker.close()
    shared.close()


async def test_an_operator_closes_it_everywhere(url: PostgresUrl, tmp_path: Path) -> None:
    async with machine(url, "node-1", tmp_path) as one, machine(url, "node-2", tmp_path) as other:
        one.leave(one.enter(), Outcome.BAD)
        await until(lambda: other.is_open)
        await asyncio.to_thread(close_everywhere, url, "lab")
        await until(lambda: not one.is_open and not other.is_open)


async def test_a_machine_that_starts_later_knows_what_is_open(url: PostgresUrl, tmp_path: Path) -> None:
    async with machine(url, "node-1", tmp_path) as one:
        one.leave(one.enter(), Outcome.BAD)
        await until(lambda: "lab" in told(url))
        async with machine(url, "node-2", tmp_path) as late:
            await until(lambda: late.is_open)


def test_an_operator_learns_that_they_cannot_be_told() -> None:
    with pytest.raises(ServerUnavailable, match=r"The breakers in d on 127\.0\.0\.1 cannot be used now: no server listens there"):
        close_everywhere(PostgresUrl("postgresql://u@127.0.0.1:1/d", "DATABASE_URL"), "lab")


def test_a_role_without_the_right_is_told_what_to_do(postgres: PostgresServer, url: PostgresUrl) -> None:
    name = url.parameters()["dbname"]
    role = postgres.new_role()
    postgres.query(f'GRANT USAGE ON SCHEMA assistant TO "{role}"', database=name)
    other = PostgresUrl(postgres.url(name, role), "DATABASE_URL")
    with pytest.raises(ServerUnavailable, match=r"permission denied for table breakers; name in DATABASE_URL a database that"):
        told(other)
