"""How soon /livez and /readyz answer while others flood the service. The probe is a process of its own."""

from __future__ import annotations

import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from ..support.fake_openai import FakeOpenAI
from ..support.paths import ROOT
from ..support.service import Service
from .crash import answered_again, upstream
from .figures import Figures
from .load import Load

PATHS = ("/livez", "/readyz")
PAUSE_SECONDS = 0.01
WANTED_MS = 100
BAD_KEY = "not-a-key"
Flood = Callable[[Service, str], AbstractAsyncContextManager[None]]


def watch(folder: Path, *, seconds: float, workers: int) -> Figures:
    """Probe for *seconds* during each flood: a new connection for each probe, as orchestrators do."""
    with FakeOpenAI() as fake, Service(folder, workers=workers, ADDRESS_RATE_LIMIT="10000000", **upstream(fake)) as service:
        return asyncio.run(_watch(service, seconds))


async def _watch(service: Service, seconds: float) -> Figures:
    token, figures = service.token("alice", service.add_client()), Figures(0, 0, 0.0)
    started = time.monotonic()
    for name, flood in FLOODS.items():
        async with flood(service, token):
            seen = await asyncio.to_thread(probed, service.port, seconds)
        assert seen["failed"] == 0, f"{name}: {seen['failed']} probes failed"
        figures.answers += int(seen["answered"])
        figures.remarks.append(f"{name}: p50 {seen['p50']:.0f}, p99 {seen['p99']:.0f} ms")
    figures.remarks.append(f"wanted: p99 {WANTED_MS} ms")
    figures.records, figures.seconds = len(service.records()), time.monotonic() - started
    return figures


@asynccontextmanager
async def quiet(service: Service, token: str) -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def asking(service: Service, token: str, *, clients: int) -> AsyncIterator[None]:
    async with Load(service.port, token, clients) as load:
        if token != BAD_KEY:
            await answered_again(load)
        yield


@asynccontextmanager
async def refused(service: Service, token: str, *, clients: int) -> AsyncIterator[None]:
    async with asking(service, BAD_KEY, clients=clients):
        yield


@asynccontextmanager
async def silent(service: Service, token: str, *, connections: int) -> AsyncIterator[None]:
    """Connections that send half a head."""
    opened = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(connections)]
    for _, writer in opened:
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    yield
    for _, writer in opened:
        writer.close()


FLOODS: dict[str, Flood] = {
    "quiet": quiet,
    "64 ask": partial(asking, clients=64),
    "256 ask": partial(asking, clients=256),
    "64 refused": partial(refused, clients=64),
    "500 silent": partial(silent, connections=500),
}


def probed(port: int, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.faults.health", str(port), str(seconds)]
    return dict(json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=seconds + 120).stdout))


def probe(port: int, seconds: float) -> dict[str, float]:
    took, failed, unanswered, end = list[float](), 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        path, at = PATHS[len(took) % 2], time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            failed += answer.status != 200
        except OSError:
            unanswered += 1
        finally:
            connection.close()
        took.append(1000 * (time.monotonic() - at))
        time.sleep(PAUSE_SECONDS)
    took.sort()
    return {
        "answered": len(took),
        "failed": failed + unanswered,
        "unanswered": unanswered,
        "p50": took[len(took) // 2],
        "p99": took[len(took) * 99 // 100],
    }


if __name__ == "__main__":
    print(json.dumps(probe(int(sys.argv[1]), float(sys.argv[2]))))
