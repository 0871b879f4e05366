"""`python -m bench.limits`: one counted question, by our Lua script and by the storages of `limits`, interleaved; medians."""

from __future__ import annotations

import asyncio
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path

import uvloop
from limits import RateLimitItemPerMinute
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter as BlockingLimiter

from app.catalogue.limits_url import limits_address
from app.limits.shared_window import WindowStorage
from app.limits.valkey.client import open_client
from app.limits.valkey.keys import Keys
from app.limits.valkey.server import LimitsServer
from app.limits.valkey.storage import ServerStorage, Window
from tests.support.valkey_server import ValkeyServer

from .machine import describe_machine

CALLERS, CALLS, ROUNDS, LIMIT = 16, 4000, 5, 1000
One = Callable[[str], Awaitable[object]]


async def _ways(valkey: ValkeyServer, folder: Path, opened: AsyncExitStack) -> dict[str, One]:
    """What counts one question and says what is left of a limit."""
    server = LimitsServer(lambda: open_client(limits_address(valkey.url), None), Keys("bench"), 5.0)
    opened.push_async_callback(server.aclose)
    await server.open()
    ours, item = ServerStorage("limits-server://", server=server), RateLimitItemPerMinute(LIMIT)
    theirs = MovingWindowRateLimiter(storage_from_string(f"async+{valkey.url}", implementation="valkey"))
    blocking = BlockingLimiter(storage_from_string(valkey.url))
    memory = opened.enter_context(closing(WindowStorage(f"window://{folder}/own/bench")))

    async def our_call(name: str) -> object:
        return await ours.hit([Window(name, name, LIMIT)])

    async def their_calls(name: str) -> object:
        return await theirs.hit(item, name), await theirs.get_window_stats(item, name)

    async def their_hit(name: str) -> object:
        return await theirs.hit(item, name)

    async def blocking_calls(name: str) -> object:
        return blocking.hit(item, name), blocking.get_window_stats(item, name)

    async def own_memory(name: str) -> object:
        return memory.acquire_entry(name, LIMIT, 60), memory.get_moving_window(name, LIMIT, 60)

    return {
        "our Lua script: hit and what is left": our_call,
        "limits, asynchronous: hit and what is left": their_calls,
        "limits, asynchronous: hit alone": their_hit,
        "limits, synchronous (the loop is blocked)": blocking_calls,
        "shared memory, one machine": own_memory,
    }


async def _time(one: One, server_cpu: Callable[[], float]) -> tuple[float, float, float]:
    """Microseconds a question: of the wall, of this process's CPU, of the server's."""

    async def caller(number: int) -> None:
        for call in range(CALLS // CALLERS):
            await one(f"user {number} {call % 8}")

    began, own, there = time.perf_counter(), _own_cpu(), server_cpu()
    await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    ended = time.perf_counter() - began, _own_cpu() - own, server_cpu() - there
    return tuple(1e6 * seconds / CALLS for seconds in ended)  # type: ignore[return-value]  # three


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def measure() -> None:
    found: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    async with AsyncExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        (folder / "own").mkdir(mode=0o700)
        valkey = opened.enter_context(ValkeyServer(folder / "valkey"))

        def server_cpu() -> float:
            used = valkey.command("INFO", "cpu")
            return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])

        ways = await _ways(valkey, folder, opened)
        for _ in range(ROUNDS + 1):
            for name, one in ways.items():
                valkey.command("FLUSHALL")
                found[name].append(await _time(one, server_cpu))
    machine = describe_machine(Path.cwd())
    print(f"{machine.measured_at}, {machine.processor}, {machine.cores} cores, load before: {machine.load_before:.1f}")
    print(f"{CALLERS} callers, {CALLS:,} questions a round, medians of {ROUNDS} rounds, us a question\n")
    print(f"{'':<46}{'wall':>8}{'CPU':>8}{'server':>8}")
    for name, rounds in found.items():
        medians = [statistics.median(column) for column in zip(*rounds[1:], strict=True)]
        print(f"{name:<46}" + "".join(f"{value:>8.1f}" for value in medians))


if __name__ == "__main__":
    uvloop.run(measure())
