"""One set of limits for several nodes: exact, and decided as LIMITS_DOWN says while the server of limits fails in mid-load."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from pathlib import Path

import pytest

from app.limits.token_rates import TokenRates
from app.limits.valkey.token_rates import ServerTokenRates

from ...support.fake_openai import FakeOpenAI
from ...support.limits_server import ServerClock, opened
from ...support.limits_steps import compare_tokens, compare_windows
from ...support.nodes import nodes
from ...support.service import Service
from ...support.valkey_server import ValkeyServer, cluster, replicated
from ...support.windows import Clock, remove_windows, storage_at
from ..callers import HEALTH, Seen, ask, calling
from ..crash import answered_again
from ..figures import Figures
from ..load import Load, Outcome, ask_all

PATIENT = {"LIMITS_TIMEOUT_SECONDS": "2"}
"""On a busy machine, the server of limits may have no core for 50 ms."""


def steps(folder: Path, count: int, seed: int = 15) -> Figures:
    """*count* random steps of windows and as many of rates in tokens, beside shared memory."""
    return asyncio.run(_steps(folder, count, seed))


async def _steps(folder: Path, count: int, seed: int) -> Figures:
    began, choose, clock = time.monotonic(), random.Random(seed), Clock()
    with pytest.MonkeyPatch.context() as patch, ValkeyServer(folder / "valkey") as valkey:
        ServerClock(valkey, patch)
        async with opened(valkey.url) as server:
            with closing(storage_at(folder / "own", clock)) as here:
                same = await compare_windows(server, here, clock, choose, count)
            with (
                closing(TokenRates(folder / "log", clock)) as rates,
                closing(ServerTokenRates(folder / "a", server, None)) as there,
            ):
                same += await compare_tokens(there, server, rates, clock, choose, count)
    remove_windows(folder / "log")
    return Figures(same, 0, time.monotonic() - began)


def sixty(folder: Path, *, questions: int, limit: int = 60, count: int = 4) -> Figures:
    """*questions* at once over *count* nodes: exactly *limit* of them are asked."""
    began = time.monotonic()
    with FakeOpenAI() as fake, ValkeyServer(folder / "valkey") as valkey:
        env = {"LIMITS_URL": valkey.url, "OPENAI_BASE_URL": fake.base_url, "RATE_LIMIT": str(limit), **PATIENT}
        with nodes(folder, count, **env) as (several, token):
            outcomes = asyncio.run(_over_all(several, token, questions))
            statuses = Counter(one.status for one in outcomes)
            assert statuses == {200: limit, 429: questions - limit}, statuses
            assert fake.calls() == limit
            records = sum(len(node.records()) for node in several)
    return Figures(limit, records, time.monotonic() - began, broken=questions - limit)


async def _over_all(several: list[Service], token: str, questions: int) -> list[Outcome]:
    each = [f"question {number}" for number in range(questions // len(several))]
    asked = await asyncio.gather(*(ask_all(node.port, token, 16, each) for node in several))
    return [one for outcomes in asked for one in outcomes]


FAULTS = ("stopped", "stalled", "out of memory", "wrong password", "failed over", "a third of a cluster", "scripts flushed")


@contextmanager
def _server(folder: Path, fault: str) -> Iterator[tuple[str, Callable[[], None], Callable[[], None]]]:
    """The address of a server, what breaks it so, and what mends it."""
    if fault == "failed over":
        with replicated(folder) as (primary, _, sentinel):
            yield sentinel.url, primary.stop, lambda: None
        return
    if fault == "a third of a cluster":
        with cluster(folder) as (one, _, third):
            yield one.url.replace("://", "+cluster://"), third.stop, third.start
        return
    with ValkeyServer(folder, password="first") as valkey:
        url = valkey.url.replace("://", "://:first@")
        if fault == "stopped":
            yield url, valkey.stop, valkey.start
        elif fault == "stalled":
            yield url, valkey.freeze, valkey.thaw
        elif fault == "out of memory":
            yield url, lambda: _set(valkey, "maxmemory", "1"), lambda: _set(valkey, "maxmemory", "0")
        elif fault == "wrong password":
            yield url, lambda: _password(valkey, "second"), lambda: _password(valkey, "first")
        else:
            yield url, lambda: _flush(valkey), lambda: None


def _flush(valkey: ValkeyServer) -> None:
    valkey.command("SCRIPT", "FLUSH")


def _set(valkey: ValkeyServer, name: str, value: str) -> None:
    valkey.command("CONFIG", "SET", name, value)


def _password(valkey: ValkeyServer, password: str) -> None:
    """From now on, also for who is connected."""
    _set(valkey, "requirepass", password)
    valkey.password = password
    valkey.command("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")


def fail(folder: Path, *, fault: str, policy: str, seconds: float, clients: int = 16, count: int = 2) -> Figures:
    """While two nodes are asked, their server of limits fails for *seconds*: refused or counted alone, health as ever."""
    with FakeOpenAI() as fake, _server(folder / "valkey", fault) as (url, break_it, mend_it):
        env = {"LIMITS_URL": url, "OPENAI_BASE_URL": fake.base_url, "LIMITS_DOWN": policy}
        env |= PATIENT if fault == "scripts flushed" else {}
        env |= {"LIMITS_NODES": str(count)} if policy == "local_share" else {}
        with nodes(folder, count, **env) as (several, token):
            return asyncio.run(_fail(several, token, fault, policy, break_it, mend_it, seconds, clients))


async def _fail(
    several: list[Service],
    token: str,
    fault: str,
    policy: str,
    break_it: Callable[[], None],
    mend_it: Callable[[], None],
    seconds: float,
    clients: int,
) -> Figures:
    began = time.monotonic()
    async with AsyncExitStack() as opened:
        loads = [await opened.enter_async_context(Load(node.port, token, clients)) for node in several]
        await _all_answered_again(loads)
        await asyncio.to_thread(break_it)
        before = [len(load.outcomes) for load in loads]
        with calling(several[0], {**HEALTH, "a question": ask(token)}) as seen:
            await asyncio.sleep(seconds)
        meanwhile = [one for load, first in zip(loads, before, strict=True) for one in load.outcomes[first:]]
        await asyncio.to_thread(mend_it)
        mended = time.monotonic()
        await _all_answered_again(loads)
        ready = [time.monotonic() - mended]
    share = Counter(one.status for one in meanwhile)
    _verify_healthy(seen, policy)
    outcomes = [one for load in loads for one in load.outcomes]
    refused = [one for one in outcomes if one.status != 200]
    kinds = Counter((one.status, one.code) for one in refused)
    assert kinds.keys() <= {(503, "limits_unavailable")}, dict(kinds)
    if fault == "scripts flushed" or policy == "local_share":
        assert not refused, f"{len(refused)} refused"
    elif fault not in ("failed over", "a third of a cluster"):
        assert share[200] <= clients * len(several), f"answered while nothing was counted: {share}"
        assert share[503] > 0
    remarks = [f"meanwhile {share[200]:,} answered, {share[503]:,} refused", *(f"{name}: {one}" for name, one in seen.items())]
    answers, records = len(outcomes) - len(refused), sum(len(node.records()) for node in several)
    return Figures(answers, records, time.monotonic() - began, broken=len(refused), ready=ready, remarks=remarks)


def _verify_healthy(seen: dict[str, Seen], policy: str) -> None:
    """With `refuse`, /readyz says 503: a load balancer sends questions elsewhere."""
    wanted = {"/livez": {"200"}, "/readyz": {"200"}, "the loop": {"200"}}
    if policy == "refuse":
        wanted["/readyz"].add("503 unavailable")
    wrong = {name: dict(seen[name].answers) for name, kinds in wanted.items() if not seen[name].answers.keys() <= kinds}
    assert not wrong, wrong


async def _all_answered_again(loads: list[Load]) -> None:
    for load in loads:
        await answered_again(load)
