"""Rates in tokens over all nodes: charged in one call, settled in the background, a part of them while the server is down."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from app.catalogue.caps import TokenRate
from app.errors import LimitsUnavailable
from app.limits.quota import QuotaExceeded
from app.limits.token_rates import TokenRates
from app.limits.valkey.server import LimitsServer
from app.limits.valkey.token_rates import ServerTokenRates

from ....support.limits_server import ServerClock, opened
from ....support.limits_steps import compare_tokens
from ....support.valkey_server import ValkeyServer, cluster
from ....support.waiting import on_a_loop, until
from ....support.windows import Clock, remove_windows

STEPS = 600
ALICE, MODEL = TokenRate("tokens/alice", 1000), TokenRate("model-tokens/small", 1500)


@asynccontextmanager
async def rates_of(folder: Path, url: str, nodes: int | None = None) -> AsyncIterator[tuple[ServerTokenRates, LimitsServer]]:
    async with opened(url) as server:
        with closing(ServerTokenRates(folder / "log", server, nodes)) as rates:
            yield rates, server
            await rates.until_settled()
    remove_windows(folder / "log")


@on_a_loop
async def test_random_steps_count_as_they_do_in_shared_memory(
    valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ServerClock(valkey, monkeypatch)
    own = Clock()
    with closing(TokenRates(tmp_path / "here", own)) as here:
        async with rates_of(tmp_path, valkey.url) as (there, server):
            assert await compare_tokens(there, server, here, own, random.Random(15), STEPS) == STEPS
    remove_windows(tmp_path / "here")


@on_a_loop
async def test_two_nodes_share_a_rate(valkey: ValkeyServer, tmp_path: Path) -> None:
    async with rates_of(tmp_path / "a", valkey.url) as (first, _), rates_of(tmp_path / "b", valkey.url) as (second, _):
        charge = await first.admit((ALICE, MODEL), 700)
        assert (charge.quota.remaining, charge.quota.name) == (300, "tpm")
        with pytest.raises(QuotaExceeded) as refused:
            await second.admit((ALICE, MODEL), 301)
        assert (refused.value.quota.limit, refused.value.quota.remaining) == (1000, 300)
        assert 60 <= (refused.value.retry_after or 0) <= 61
        first.settle(charge, 100, (ALICE, MODEL))
        await first.until_settled()
        assert (await second.admit((ALICE, MODEL), 1)).quota.remaining == 899


@pytest.mark.slow
@on_a_loop
async def test_in_a_cluster_a_refusal_gives_back_what_other_slots_counted(tmp_path: Path) -> None:
    with cluster(tmp_path / "servers") as servers:
        async with rates_of(tmp_path, f"valkey+cluster://{servers[0].host}:{servers[0].port}") as (rates, _):
            small = TokenRate("model-tokens/tiny", 10)
            await rates.admit((small,), 10)
            with pytest.raises(QuotaExceeded) as refused:
                await rates.admit((ALICE, small), 5)
            assert refused.value.quota.limit == 10
            await rates.until_settled()
            assert (await rates.admit((ALICE,), 1000)).quota.remaining == 0


@pytest.mark.parametrize("nodes", [None, 4])
@on_a_loop
async def test_while_the_server_is_down_the_policy_decides(tmp_path: Path, nodes: int | None) -> None:
    with ValkeyServer(tmp_path / "own") as own:
        async with rates_of(tmp_path, own.url, nodes) as (rates, server):
            own.stop()
            if nodes is None:
                with pytest.raises(LimitsUnavailable):
                    await rates.admit((ALICE,), 10)
            else:
                charge = await rates.admit((ALICE,), 10)
                assert (charge.quota.limit, charge.quota.remaining) == (250, 240)
                rates.settle(charge, 50, (ALICE,))
                assert (await rates.admit((ALICE,), 1)).quota.remaining == 199
            rates.settle(None, 10, (ALICE,))
            own.start()
            await until(lambda: server.problem is None)
            assert (await rates.admit((ALICE,), 10)).quota.remaining == 990
