"""Whatever state the server is in, a call is decided at once, and calls count again as soon as they can."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from valkey.exceptions import SlotNotCoveredError

from app.limits.valkey.scripts import WINDOWS
from app.limits.valkey.server import LimitsDown, LimitsServer

from ....support.limits_server import opened
from ....support.valkey_server import ValkeyServer, cluster, replicated
from ....support.waiting import on_a_loop, until


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ValkeyServer]:
    """For a test that stops or spoils it."""
    with ValkeyServer(tmp_path / "own") as server:
        yield server


async def hits(server: LimitsServer, owner: str = "alice") -> int:
    return (await server.call(WINDOWS, [server.keys.of(owner, "q")], ("hit", 0, 1000, 1)))[3]


async def hits_of(server: LimitsServer, owners: list[str]) -> list[int | BaseException]:
    return await asyncio.gather(*(hits(server, owner) for owner in owners), return_exceptions=True)


async def down(server: LimitsServer) -> str:
    """Why."""
    with pytest.raises(LimitsDown) as refused:
        await hits(server)
    return str(refused.value)


@on_a_loop
async def test_flushed_scripts_are_sent_again(valkey: ValkeyServer) -> None:
    async with opened(valkey.url) as server:
        assert await hits(server) == 1
        valkey.command("SCRIPT", "FLUSH")
        assert await hits(server) == 2
        assert server.outages == 0


@on_a_loop
async def test_many_calls_at_once_are_all_counted(valkey: ValkeyServer) -> None:
    async with opened(valkey.url) as server:
        assert sorted(await asyncio.gather(*(hits(server) for _ in range(200)))) == list(range(1, 201))


@on_a_loop
async def test_a_fault_of_our_own_counts_nothing_and_is_logged(valkey: ValkeyServer, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(valkey.url) as server:
        await hits(server)
        with pytest.raises(LimitsDown):
            await server.call(WINDOWS, None, ())  # type: ignore[arg-type]
        assert "failed unexpectedly" in caplog.text
        assert "TypeError" in caplog.text
        await until(lambda: server.problem is None)
        assert await hits(server) == 2


@on_a_loop
async def test_a_connection_that_cannot_be_closed_is_logged_and_tried_again(
    own: ValkeyServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(server: LimitsServer) -> None:
        raise AttributeError("planted")

    monkeypatch.setattr(LimitsServer, "_disconnect", fail)
    async with opened(own.url) as server:
        await hits(server)
        own.stop()
        assert await down(server)
        await until(lambda: "planted" in caplog.text)
        own.start()
        await until(lambda: server.problem is None)
        assert await hits(server) == 1


@on_a_loop
async def test_a_server_that_stops_is_down_until_it_is_back(own: ValkeyServer) -> None:
    async with opened(own.url) as server:
        await hits(server)
        own.stop()
        assert "onnect" in await down(server)
        assert server.problem is not None
        own.start()
        await until(lambda: server.problem is None)
        assert await hits(server) == 1, "what it counted is gone"
        assert server.outages == 1


@on_a_loop
async def test_a_server_that_does_not_start_stops_nobody(own: ValkeyServer) -> None:
    own.stop()
    async with opened(own.url) as server:
        assert await down(server)
        own.start()
        await until(lambda: server.problem is None)
        assert await hits(server) == 1


@on_a_loop
async def test_a_stalled_server_holds_up_the_first_calls_alone(own: ValkeyServer) -> None:
    async with opened(own.url, answer_seconds=0.05) as server:
        await until(lambda: server.problem is None)
        own.freeze()
        assert await asyncio.gather(*(down(server) for _ in range(100))) == ["no answer in time"] * 100
        with pytest.raises(LimitsDown):
            hits(server).send(None)  # known to be down: the call ends before it waits for anything
        own.thaw()
        await until(lambda: server.problem is None)
        assert await hits(server) > 1


@on_a_loop
async def test_a_server_out_of_memory_is_down_though_it_answers(own: ValkeyServer) -> None:
    async with opened(own.url) as server:
        await hits(server)
        own.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
        own.command("CONFIG", "SET", "maxmemory", "1")
        assert "memory" in await down(server)
        assert own.command("PING")
        own.command("CONFIG", "SET", "maxmemory", "0")
        await until(lambda: server.problem is None)
        assert await hits(server) == 2


@on_a_loop
async def test_a_replaced_password_is_read_at_the_next_connection(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("first")
    with ValkeyServer(tmp_path / "own", password="first") as own:
        async with opened(own.url, password=file.read_text) as server:
            await hits(server)
            own.stop()
            await down(server)
            own.password = "second"
            own.start()
            await until(lambda: "password" in (server.problem or "") or "AUTH" in (server.problem or ""))
            assert "first" not in await down(server)
            file.write_text("second")
            await until(lambda: server.problem is None)
            assert await hits(server) == 1


@on_a_loop
async def test_one_service_does_not_see_what_another_one_counts(valkey: ValkeyServer) -> None:
    async with opened(valkey.url, "a") as first, opened(valkey.url, "b") as second, opened(valkey.url, "a") as third:
        assert [await hits(one) for one in (first, second, third)] == [1, 1, 2]


@on_a_loop
async def test_whatever_a_client_raises_it_is_tried_again(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(valkey.url) as server:
        run, failing = server._run, [SlotNotCoveredError("no server has this slot"), KeyError("node"), RuntimeError("odd")]

        async def fail(*arguments: object) -> list[int]:
            if failing:
                raise failing.pop(0)
            return await run(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(server, "_run", fail)
        assert await down(server) == "no server has this slot"
        await until(lambda: server.problem is None)
        assert (await hits(server), server.outages) == (1, 1)


@pytest.mark.slow
@on_a_loop
async def test_after_a_failover_the_promoted_replica_counts_on(tmp_path: Path) -> None:
    with replicated(tmp_path) as (primary, replica, sentinel):
        async with opened(sentinel.url) as server:
            assert await hits(server) == 1
            primary.command("WAIT", 1, 1000)
            primary.stop()
            await down(server)
            await until(lambda: server.problem is None)
            assert sentinel.primary_port() == replica.port
            assert await hits(server) == 2


@pytest.mark.slow
@on_a_loop
async def test_a_cluster_counts_each_owner_on_one_of_its_servers(tmp_path: Path) -> None:
    with cluster(tmp_path) as servers:
        url = "valkey+cluster://" + ",".join(f"{one.host}:{one.port}" for one in servers[:2])
        async with opened(url) as server:
            assert server.is_cluster
            assert [await hits(server, f"owner {number}") for number in range(60)] == [1] * 60
            sizes = [one.command("DBSIZE") for one in servers]
            assert min(sizes) > 1, "each has its part"
            servers[2].freeze()
            owners = [f"owner {number}" for number in range(60)]
            assert [str(one) for one in await hits_of(server, owners) if isinstance(one, LimitsDown)]
            servers[2].thaw()
            await until(lambda: server.problem is None)
            assert sum([await hits(server, owner) > 1 for owner in owners]) == 60
