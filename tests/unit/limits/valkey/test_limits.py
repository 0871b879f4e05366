"""The limits of all nodes: the same names and sizes as of one, counted on a server; a part of them while it is down."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from app.errors import LimitsUnavailable, RateLimited
from app.limits.limits import Limits
from app.limits.opened import open_limits
from app.limits.quota import QuotaExceeded
from app.limits.rate_limits import MIN_READS_PER_MINUTE, MIN_TOKENS_PER_MINUTE
from app.settings import load_settings

from ....support.clean_settings import use_defaults
from ....support.valkey_server import ValkeyServer
from ....support.waiting import on_a_loop, until
from ....support.windows import remove_windows

SHARE: dict[str, Any] = {"limits_down": "local_share", "limits_nodes": 4}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_defaults(monkeypatch, tmp_path)
    return tmp_path


@asynccontextmanager
async def opened(folder: Path, url: str, node: str = "a", **settings: Any) -> AsyncIterator[Limits]:
    log = folder / node / "audit_log.jsonl"
    try:
        async with open_limits(load_settings(audit_log_path=log, limits_url=url, limits_timeout_seconds=2, **settings)) as (
            limits,
            _,
        ):
            yield limits
    finally:
        remove_windows(log)


async def refused(work: Awaitable[Any], kind: type[Exception] = QuotaExceeded) -> Any:
    with pytest.raises(kind) as raised:
        await work
    return raised.value


@on_a_loop
async def test_all_nodes_together_grant_each_limit_once(folder: Path, valkey: ValkeyServer) -> None:
    async with opened(folder, valkey.url) as first, opened(folder, valkey.url, "b") as second:
        nodes = [first, second] * 2
        assert [(await node.charge_question("alice", 4)).remaining for node in nodes] == [3, 2, 1, 0]
        for node in nodes:
            quota = (await refused(node.charge_question("alice", 4))).quota
            assert (quota.limit, quota.remaining, quota.name) == (4, 0, "rpm")
            assert 59 <= quota.reset_seconds <= 60
        assert (await second.charge_token("alice")).remaining == MIN_TOKENS_PER_MINUTE - 1
        assert (await first.charge_read("alice", 4)).remaining == MIN_READS_PER_MINUTE - 1
        assert (await second.charge_read("alice", 4, ("k", 5000))).remaining == MIN_READS_PER_MINUTE - 2


@on_a_loop
async def test_a_keys_limit_narrows_what_its_client_has(folder: Path, valkey: ValkeyServer) -> None:
    async with opened(folder, valkey.url) as limits:
        assert [(await limits.charge_question("alice", 4, ("k1", 2))).remaining for _ in range(2)] == [1, 0]
        assert (await refused(limits.charge_question("alice", 4, ("k1", 2)))).quota.limit == 2
        assert (await limits.charge_question("alice", 4, ("k2", 100))).remaining == 1


@on_a_loop
async def test_a_user_of_a_front_end_has_a_part_and_others_keep_theirs(folder: Path, valkey: ValkeyServer) -> None:
    async with opened(folder, valkey.url, asserted_user_rate_limit=1) as limits:
        assert (await limits.charge_question("webui", 3, None, "u1")).remaining == 2, "the front end's, not the user's"
        assert (await refused(limits.charge_question("webui", 3, None, "u1"))).quota.limit == 1
        assert (await limits.charge_question("webui", 3)).remaining == 1
        await limits.charge_asserted("webui", "u2")
        assert (await limits.charge_question("webui", 3, ("k", 9))).remaining == 0
        await refused(limits.charge_asserted("webui", "u2"))
        assert (await limits.charge_question("webui", 3)).remaining == 0, "given back once"


@on_a_loop
async def test_failed_proofs_of_an_address_count_on_all_nodes(folder: Path, valkey: ValkeyServer) -> None:
    async with (
        opened(folder, valkey.url, address_rate_limit=2) as first,
        opened(folder, valkey.url, "b", address_rate_limit=2) as second,
    ):
        for node in (first, second):
            await node.test_address("2001:db8::1")
            await node.charge_address("2001:db8::2")
        for node in (first, second):
            assert 59 <= (await refused(node.test_address("2001:db8::3"), RateLimited)).retry_after <= 60
            await refused(node.charge_address("2001:db8::3"), RateLimited)
        await first.test_address("2001:db8:1::1")


@on_a_loop
async def test_while_the_server_is_down_nothing_is_granted(folder: Path, tmp_path: Path) -> None:
    with ValkeyServer(tmp_path / "own") as own:
        async with opened(folder, own.url) as limits:
            await limits.charge_question("alice", 4)
            own.stop()
            await limits.look()
            assert limits.problem is not None
            for call in (limits.charge_question("alice", 4), limits.charge_token("a"), limits.charge_address("192.0.2.1")):
                await refused(call, LimitsUnavailable)
            assert not limits.counts_alone
            own.start()
            await until(lambda: limits.problem is None)
            assert (await limits.charge_question("alice", 4)).remaining == 3


@on_a_loop
async def test_or_each_node_grants_its_part_of_every_limit(folder: Path, tmp_path: Path) -> None:
    with ValkeyServer(tmp_path / "own") as own:
        own.stop()
        async with opened(folder, own.url, address_rate_limit=4, **SHARE) as limits:
            assert limits.counts_alone
            assert [(await limits.charge_question("alice", 8)).remaining for _ in range(2)] == [1, 0]
            assert (await refused(limits.charge_question("alice", 8))).quota.limit == 2
            assert (await limits.charge_question("bobby", 3)).remaining == 0, "never less than one"
            assert (await limits.charge_read("alice", 8)).limit == MIN_READS_PER_MINUTE // 4
            assert (await limits.charge_token("alice")).limit == MIN_TOKENS_PER_MINUTE // 4
            await limits.charge_address("192.0.2.1")
            await refused(limits.test_address("192.0.2.1"), RateLimited)
            own.start()
            await until(lambda: limits.problem is None)
            assert (await limits.charge_question("alice", 8)).limit == 8
