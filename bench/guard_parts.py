"""One part of the service alone: `python bench/guard_parts.py PART SECONDS [ARGUMENT]` prints CPU microseconds a call.

Run by path, so that `app` is the one that PYTHONPATH names; uses only what every version of it has had since decision 47.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

CALLERS = 16
CHAT_BODY = json.dumps(
    {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": f"Question {number}, of some length, \u00fcber alles."} for number in range(40)],
        "temperature": 0.2,
    }
).encode()


def time_json(seconds: float, argument: str) -> float:
    """The strict parser on a chat body of 3 KiB, written as Python's json writes it."""
    from app.kit.strict_json import parse

    return _looped(lambda: parse(CHAT_BODY), seconds)


def time_limiter(seconds: float, argument: str) -> float:
    """A counted question, in the folder of a service that is set up."""
    from app.limits.rate_limits import Buckets
    from app.settings import Settings

    buckets = Buckets(Settings())
    try:
        return _looped(lambda: buckets.charge_question("bench", 10_000_000), seconds)
    finally:
        buckets.close()


def time_audit(seconds: float, argument: str) -> float:
    """A durable record, of 16 callers at once, in a log that is set up. *argument*: its path."""
    from app.audit.log import AuditLog
    from app.audit.storage.jsonl import JsonlStore

    async def work() -> float:
        async with AuditLog(JsonlStore(Path(argument))) as log:
            details = {"query": "What is a hash chain?", "roles": ["ai.playground.user"], "model": "gpt-4o-mini"}
            return await _gathered(lambda: log.record("ask.received", user_id="bench", details=details), seconds)

    return uvloop.run(work())


def time_client(seconds: float, argument: str) -> float:
    """A plain call to a model's server, 16 at once. *argument*: its address."""
    from app.catalogue.models import Server
    from app.upstream.client import Upstream
    from app.upstream.protocol.chat import CHAT

    async def work() -> float:
        upstream = Upstream(Server("fake", argument, "sk-bench"))
        try:
            return await _gathered(lambda: upstream.complete(CHAT, CHAT_BODY, "gpt-4o-mini"), seconds)
        finally:
            await upstream.aclose()

    return uvloop.run(work())


PARTS = {"json": time_json, "limiter": time_limiter, "audit": time_audit, "client": time_client}


def _looped(call: Callable[[], object], seconds: float) -> float:
    for _ in range(100):
        call()
    begun, end, calls = time.process_time(), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        for _ in range(20):
            call()
        calls += 20
    return 1e6 * (time.process_time() - begun) / calls


async def _gathered(call: Callable[[], Awaitable[object]], seconds: float) -> float:
    calls = 0

    async def caller(until: float) -> None:
        nonlocal calls
        while time.monotonic() < until:
            await call()
            calls += 1

    for length in (0.2, seconds):  # the first warms up
        begun, calls = time.process_time(), 0
        await asyncio.gather(*(caller(time.monotonic() + length) for _ in range(CALLERS)))
    return 1e6 * (time.process_time() - begun) / calls


if __name__ == "__main__":
    print(PARTS[sys.argv[1]](float(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else ""))
