"""The clients on a real PostgreSQL: its schema, another database in its place, and its failures."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.errors import ConfigError, Unavailable
from app.kit import postgres as connections
from app.kit.postgres_url import PostgresUrl
from app.security.clients.database import TIMEOUT_SECONDS
from app.security.clients.migrations import create_or_upgrade_database, verify_schema
from app.security.clients.postgres_database import POOL
from app.security.clients.store import ClientStore, open_clients
from app.security.database_follower import DatabaseFollower
from app.security.models import Client
from app.security.replacement_notice import ReplacementNotice
from app.security.security_log import SecurityLog

from ....support.pgbouncer import pgbouncer
from ....support.postgres_clients import make_clients, new_url
from ....support.postgres_server import PostgresServer
from ....support.tcp_proxy import TcpProxy
from ....support.tokens import ASK
from ....support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
HOUR = 3_600
JTI = "a" * 32


@pytest.fixture
def url(postgres: PostgresServer) -> PostgresUrl:
    return make_clients(postgres)


@pytest.fixture
async def store(url: PostgresUrl) -> AsyncIterator[ClientStore]:
    store = open_clients(url)
    yield store
    await store.aclose()


def name_of(url: PostgresUrl) -> str:
    return str(url.parameters()["dbname"])


def execute(url: PostgresUrl, statement: str) -> None:
    with psycopg.connect(url.text, autocommit=True, options="-c search_path=assistant") as connection:
        connection.execute(statement.encode())


# --- the schema ----------------------------------------------------------------------------------


def test_init_makes_the_tables_once_whoever_comes_first(postgres: PostgresServer) -> None:
    url = new_url(postgres)
    with pytest.raises(ConfigError, match=r"There are no clients in the database test_.* on 127\.0\.0\.1\..* init\."):
        verify_schema(url)
    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(create_or_upgrade_database, [url] * 4)) == [False, False, False, True]
    verify_schema(url)


def test_a_role_that_may_make_no_tables_is_told_what_to_do(postgres: PostgresServer) -> None:
    url = PostgresUrl(postgres.url(postgres.new_database(), postgres.new_role()), "DATABASE_URL")
    said = r"permission denied for database test_\w+; name in DATABASE_URL a database that its role owns \(ALTER DATABASE"
    with pytest.raises(Unavailable, match=said):
        create_or_upgrade_database(url)


def test_a_schema_of_another_time_stops_the_start(url: PostgresUrl) -> None:
    execute(url, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(ConfigError, match=r"is older than this version: run .* init\."):
        verify_schema(url)
    execute(url, "UPDATE alembic_version SET version_num = '9999'")
    execute(url, "UPDATE side_by_side SET oldest_code = '9999'")
    for use in (verify_schema, create_or_upgrade_database):
        with pytest.raises(ConfigError, match=r"comes from a newer version: install that one\.$"):
            use(url)


def test_a_newer_schema_may_say_that_this_release_runs_beside_it(url: PostgresUrl) -> None:
    execute(url, "UPDATE alembic_version SET version_num = '9999'")
    verify_schema(url)
    with pytest.raises(ConfigError, match="comes from a newer version"):
        create_or_upgrade_database(url)


def test_tables_of_another_application_are_left_alone(postgres: PostgresServer) -> None:
    url = new_url(postgres)
    execute(url, "CREATE TABLE public.clients (x int)")
    assert create_or_upgrade_database(url), "they stand beside ours"
    other = new_url(postgres)
    execute(other, "CREATE SCHEMA assistant; CREATE TABLE assistant.clients (x int)")
    with pytest.raises(ConfigError, match="holds another application's tables: name another database"):
        create_or_upgrade_database(other)


async def test_a_key_that_is_deleted_by_hand_is_revoked_also_with_its_client(store: ClientStore, url: PostgresUrl) -> None:
    await store.add("alice", [ASK])
    first, second = store.keys.make(), store.keys.make()
    for new in (first, second):
        await store.keys.add(new, "alice", (ASK,))
    execute(url, f"DELETE FROM keys WHERE key_id = '{first.key_id}'")
    assert (await store.current_revocations()).revoked == {first.key_id}
    execute(url, "DELETE FROM clients")
    assert (await store.current_revocations()).revoked == {first.key_id, second.key_id}
    assert await store.generation() == 5


# --- another database in its place ---------------------------------------------------------------


class Followed:
    def __init__(self, store: ClientStore, folder: Path) -> None:
        self.details: list[Mapping[str, Any]] = []
        self._events = SecurityLog(folder / "security.log")
        self._follower = DatabaseFollower(store, self._record, self._events, ReplacementNotice(), HOUR, time.time)

    async def _record(self, user_id: str | None, action: str, details: Mapping[str, Any]) -> None:
        self.details.append(details)

    async def start(self) -> None:
        self.known = await self._follower.load()

    async def follow(self) -> None:
        for _ in range(3):
            self.known = await self._follower.follow(self.known)

    def close(self) -> None:
        self._events.close()


@pytest.fixture
async def followed(store: ClientStore, tmp_path: Path) -> AsyncIterator[Followed]:
    followed = Followed(store, tmp_path)
    yield followed
    followed.close()


async def test_another_database_of_the_same_name_revives_nothing(
    postgres: PostgresServer, store: ClientStore, url: PostgresUrl, followed: Followed
) -> None:
    await store.add("alice", [ASK])
    await store.revoke(JTI, int(time.time()) + HOUR)
    await followed.start()
    other = make_clients(postgres)  # as a dump of yesterday would be
    postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", name_of(url))
    postgres.query(f'ALTER DATABASE "{name_of(url)}" RENAME TO "{name_of(url)}_old"')
    postgres.query(f'ALTER DATABASE "{name_of(other)}" RENAME TO "{name_of(url)}"')
    await followed.follow()
    assert followed.known.revoked == {JTI}
    assert [one["how"] for one in followed.details] == ["another database"]
    assert (await store.current_revocations()).revoked == {JTI}, "it is written into it"


async def test_a_database_restored_to_an_earlier_time_revives_nothing(
    store: ClientStore, url: PostgresUrl, followed: Followed
) -> None:
    await store.add("alice", [ASK])
    await store.revoke(JTI, int(time.time()) + HOUR)
    await followed.start()
    execute(url, "DELETE FROM revocations; UPDATE generation SET value = 1")
    await followed.follow()
    assert followed.known.revoked == {JTI}
    assert [one["how"] for one in followed.details] == ["older content"]


# --- failures ------------------------------------------------------------------------------------


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


async def blocked_turns(work: Callable[[], Any]) -> int:
    """How many turns the event loop had while *work* was waited for, which must fail."""
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.01)
            turns += 1

    turning = asyncio.create_task(turn())
    with pytest.raises(Unavailable):
        await work()
    turning.cancel()
    return turns


async def test_a_revocation_that_only_this_server_has_is_not_confirmed(own_server: PostgresServer) -> None:
    """Its wait for the standby was cancelled: a failover would lose it. Once more, it is."""
    store = open_clients(make_clients(own_server))
    await asyncio.to_thread(own_server.reload, synchronous_standby_names="nobody")
    revoking = asyncio.create_task(store.revoke(JTI, 2**40))
    await until(lambda: own_server.cancel_waits() > 0)
    with pytest.raises(Unavailable):
        await revoking
    await asyncio.to_thread(own_server.reload, synchronous_standby_names="")
    await store.revoke(JTI, 2**40)
    assert JTI in (await store.current_revocations()).revoked
    await store.aclose()


async def test_a_server_that_restarts_is_used_again_without_an_error(own_server: PostgresServer) -> None:
    store = open_clients(make_clients(own_server))
    assert await store.generation() == 0
    await asyncio.to_thread(own_server.crash)
    with pytest.raises(Unavailable):
        await store.generation()
    await asyncio.to_thread(own_server.start)
    for generation in range(1, 4):
        await store.add(f"client{generation}", [ASK])
        assert await store.generation() == generation
    await store.aclose()


async def test_a_stopped_server_is_given_up_while_the_loop_goes_on(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_clients(make_clients(own_server))
    await store.add("alice", [ASK])
    backends = [pid for (pid,) in own_server.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")]
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
    for pid in (own_server.pid, *backends):
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGSTOP)
    assert await blocked_turns(store.list_all) > 3
    assert await blocked_turns(lambda: store.add("bob", [ASK])) > 3
    for pid in (own_server.pid, *backends):
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGCONT)
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 5.0)
    assert [one.client_id for one in await store.list_all()] == ["alice"]
    await store.aclose()


async def test_a_network_that_swallows_everything_is_given_up_and_recovers(
    postgres: PostgresServer, url: PostgresUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TcpProxy(postgres.port) as proxy:
        store = open_clients(PostgresUrl(url.text.replace(f":{postgres.port}/", f":{proxy.port}/"), "DATABASE_URL"))
        await store.add("alice", [ASK])
        monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
        proxy.hold()
        assert await blocked_turns(store.generation) > 3
        proxy.let_through()
        monkeypatch.setattr(connections, "ANSWER_SECONDS", 5.0)
        assert await store.generation() == 1
        proxy.cut()
        assert await store.generation() == 1, "dead connections are found before they are used"
        await store.aclose()


async def test_who_waits_too_long_for_anothers_change_is_refused(
    store: ClientStore, url: PostgresUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.5)
    with psycopg.connect(url.text, options="-c search_path=assistant") as other:
        other.execute("SELECT value FROM generation FOR UPDATE")
        assert await blocked_turns(lambda: store.add("alice", [ASK])) > 3
    await store.add("alice", [ASK])


async def test_a_pool_is_bounded_and_given_back_by_who_is_cancelled(
    store: ClientStore, postgres: PostgresServer, url: PostgresUrl
) -> None:
    count = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
    for _ in range(3):
        reads = [asyncio.create_task(store.list_all()) for _ in range(40)]
        await asyncio.sleep(0.01)
        for read in reads[::2]:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
        await until(lambda: postgres.query(count, name_of(url))[0][0] <= 4)
    assert await store.list_all() == []


async def test_a_change_that_may_be_refused_waits_for_no_reader(store: ClientStore) -> None:
    """It holds the lock that every node's changes wait for, so it looks on the connection that it has."""
    await store.add("alice", [ASK])
    seen, refusal = list[str](), Unavailable("of the test")

    def verify(several: Sequence[Client]) -> None:
        seen.extend(f"{one.client_id} {one.disabled}" for one in several)

    def refuse(several: Sequence[Client]) -> None:
        raise refusal

    readers = [await store._engine.connect() for _ in range(POOL - 1)]
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS / 2):
            await store.disable("alice", verify=verify)
            with pytest.raises(Unavailable) as caught:
                await store.set_roles("alice", ["admin"], verify=refuse)
    finally:
        for one in readers:
            await one.close()
    assert (seen, caught.value) == (["alice False"], refusal)
    assert [(one.disabled, one.roles) for one in await store.list_all()] == [(True, (ASK,))]


def test_a_pooler_that_hides_itself_and_a_standby_are_refused(own_server: PostgresServer) -> None:
    with pgbouncer(own_server, ignored="options") as address:
        with pytest.raises(ConfigError, match="DATABASE_URL leads to a connection pooler such as PgBouncer"):
            verify_schema(PostgresUrl(address, "DATABASE_URL"))
    with own_server.standby(is_synchronous=False) as standby:
        with pytest.raises(ConfigError, match="DATABASE_URL leads to a standby: name the primary"):
            verify_schema(PostgresUrl(standby.url(), "DATABASE_URL"))


def test_an_operator_is_told_why_it_cannot_be_used(postgres: PostgresServer, url: PostgresUrl) -> None:
    wrong = PostgresUrl(url.text.replace(str(url.parameters()["password"]), "not-the-password"), "DATABASE_URL")
    with pytest.raises(Unavailable, match=r"^The client database test_.* on 127.0.0.1 cannot be used now: .*password") as caught:
        verify_schema(wrong)
    assert "not-the-password" not in caught.value.detail

    nobody = PostgresUrl("postgresql://u@127.0.0.1:1/d", "DATABASE_URL")
    with pytest.raises(Unavailable, match=r"The client database d on 127\.0\.0\.1 cannot be used now: no server listens there: "):
        verify_schema(nobody)
