"""Windows on a server count as those in shared memory do: exact, all or none, by the server's clock alone."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import pytest
from limits import RateLimitItemPerMinute
from limits.aio.strategies import MovingWindowRateLimiter

from app.limits.valkey.storage import ServerStorage, Window

from ....support.limits_server import ServerClock, opened
from ....support.limits_steps import compare_windows
from ....support.valkey_server import ValkeyServer
from ....support.waiting import on_a_loop
from ....support.windows import Clock, storage_at

STEPS = 1500


@pytest.fixture
def clock(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> ServerClock:
    return ServerClock(valkey, monkeypatch)


@on_a_loop
async def test_random_steps_count_as_they_do_in_shared_memory(valkey: ValkeyServer, clock: ServerClock, tmp_path: Path) -> None:
    own = Clock()
    with closing(storage_at(tmp_path / "own", own)) as here:
        async with opened(valkey.url) as server:
            assert await compare_windows(server, here, own, random.Random(15), STEPS) == STEPS


@on_a_loop
async def test_it_is_a_storage_of_limits(valkey: ValkeyServer, clock: ServerClock) -> None:
    async with opened(valkey.url) as server:
        limiter, item = MovingWindowRateLimiter(ServerStorage("limits-server://", server=server)), RateLimitItemPerMinute(2)
        assert [await limiter.hit(item, "alice") for _ in range(3)] == [True, True, False]
        assert not await limiter.test(item, "alice")
        stats = await limiter.get_window_stats(item, "alice")
        assert (stats.reset_time, stats.remaining) == (1060.0, 0)
        clock.set(1060.0)
        assert await limiter.test(item, "alice")
        with pytest.raises(TypeError):
            await limiter.storage.get("alice")


@on_a_loop
async def test_all_windows_of_a_call_count_or_none(valkey: ValkeyServer, clock: ServerClock) -> None:
    wide, narrow = Window("alice", "wide", 5), Window("alice", "narrow", 1)
    async with opened(valkey.url) as server:
        storage = ServerStorage("limits-server://", server=server)
        assert [state.hits for state in (await storage.hit([narrow, wide])).states] == [1, 1]
        refused = await storage.hit([wide, narrow])
        assert (refused.full, [state.hits for state in refused.states]) == (1, [1])
        assert (await storage.hit([wide])).states[0].hits == 2, "the refused call did not count there"
        await storage.give_back([wide, narrow])
        assert [state.hits for state in (await storage.hit([wide, narrow])).states] == [2, 1]


@on_a_loop
async def test_a_refused_hit_stores_nothing(valkey: ValkeyServer, clock: ServerClock) -> None:
    window = Window("alice", "q", 1)
    async with opened(valkey.url) as server:
        storage = ServerStorage("limits-server://", server=server)
        await storage.hit([window])
        before = valkey.command("DBSIZE"), valkey.command("LLEN", server.keys.of("alice", "q"))
        assert [(await storage.hit([window])).full for _ in range(9)] == [0] * 9
        assert (await storage.hit([Window("bobby", "q", 0)])).full == 0
        assert (valkey.command("DBSIZE"), valkey.command("LLEN", server.keys.of("alice", "q"))) == before


@on_a_loop
async def test_all_of_an_owner_are_bounded_in_each_minute(valkey: ValkeyServer, clock: ServerClock) -> None:
    async with opened(valkey.url) as server:
        storage = ServerStorage("limits-server://", server=server)
        clock.set(1200.0)
        full = [(await storage.hit([Window("u", f"address/{n}", 9)], bound=3)).full for n in range(5)]
        assert full == [None, None, None, 0, 0]
        clock.set(1260.0)
        assert (await storage.hit([Window("u", "address/9", 9)], bound=3)).full is None


@on_a_loop
async def test_a_clock_that_is_set_back_locks_nobody_out_for_long(valkey: ValkeyServer, clock: ServerClock) -> None:
    window = Window("alice", "q", 2)
    async with opened(valkey.url) as server:
        storage = ServerStorage("limits-server://", server=server)
        clock.set(90_000.0)
        assert [(await storage.hit([window])).full for _ in range(3)] == [None, None, 0]
        clock.set(89_970.0)
        assert (await storage.hit([window])).full == 0, "half a minute: they still count"
        clock.set(1000.0)
        assert [(await storage.hit([window])).full for _ in range(3)] == [None, None, 0]


@on_a_loop
async def test_old_hits_are_deleted_and_every_key_expires(valkey: ValkeyServer, clock: ServerClock) -> None:
    window = Window("alice", "q", 10_000)
    async with opened(valkey.url) as server:
        storage, key = ServerStorage("limits-server://", server=server), server.keys.of("alice", "q")
        assert (await storage.hit([window], amount=2500)).states[0].hits == 2500
        clock.set(1030.0)
        await storage.hit([window], amount=3)
        clock.set(1060.0)
        assert (await storage.hit([window])).states[0].hits == 4
        assert valkey.command("LLEN", key) == 4
        await storage.hit([Window("u", "a", 1)], bound=9)
        keys = valkey.command("KEYS", "limits1:*")
        assert all(0 < valkey.command("TTL", one) <= 61 for one in keys)
        assert not [one for one in keys if b"alice" in one]
