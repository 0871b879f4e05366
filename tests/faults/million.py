"""A million hostile requests beside an honest caller: memory, waits, and whether the log holds what callers were told."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from .bare_server import bare_server
from .corpora import odd_requests
from .counts import Counts
from .figures import Figures
from .footprint import Footprint
from .honest import honest_caller
from .mutants import by_hypothesis
from .probes import PROBES
from .spoken import answers_in, speak
from .valid import Credentials, request, valid_requests

CONNECTIONS = 256
RATE = 1000
"""A second: a flood without a bound measures how long its own queue is."""
SLICE = 50_000
WARM = 10_000
"""Requests before memory is first looked at."""
SEED = 12
SECONDS = 120
MODELS = (0.0, 0.05)
"""Seconds that the model's server takes for an answer: none, which no model does, and those of `make bench`."""
PARALLEL = 16
LENGTH = re.compile(rb"(?i)content-length: *([0-9]{1,9})")
HALF_BODY = request("POST", "/token", "", b"a" * 100, "application/x-www-form-urlencoded")[:-98]


@dataclass(frozen=True)
class Hostile:
    request: bytes
    is_left: bool = False
    """Whether its caller is gone at once: a reset, and no answer is awaited."""


@dataclass
class Seen:
    sent: int = 0
    left: int = 0
    several: int = 0
    """With more than one request in them. The later answers may be unread: their caller has ended by then."""
    counts: Counts = field(default_factory=Counts)


class Exchange(asyncio.Protocol):
    """One connection: its request is sent at once, and no more after the first whole answer; what comes is kept."""

    def __init__(self, hostile: Hostile) -> None:
        self._hostile, self.said, self._has_ended = hostile, bytearray(), False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._hostile.request)
        if self._hostile.is_left:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self.said += data
        if not self._has_ended and any(one.status >= 200 for one in answers_in(bytes(self.said))):
            self._has_ended = True
            self._transport.write_eof()  # else the service waits for the next request

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


@dataclass
class Flood:
    """Requests of *pool* in turn: *rate* a second, at most, and CONNECTIONS at once."""

    service: Service
    pool: Iterator[Hostile]
    rate: int
    seen: Seen = field(default_factory=Seen)
    memory: list[float] = field(default_factory=list)
    """MB of all processes of *service*: once it is warm, after each SLICE, and at the end of each sending."""

    async def send(self, port: int, requests: int) -> float:
        """How many were begun in a second."""
        free, begun = asyncio.Semaphore(CONNECTIONS), time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(requests):
                await free.acquire()
                group.create_task(_exchange(port, next(self.pool), self.seen, free))
                if (ahead := begun + number / self.rate - time.monotonic()) > 0:
                    await asyncio.sleep(ahead)
                if not self.memory and number == min(WARM, requests // 2):
                    self.memory.append(memory_of(self.service))
                elif number and number % SLICE == 0:
                    self.memory.append(memory_of(self.service))
                    sent = f"  {number:,} sent, {number / (time.monotonic() - begun):.0f}/s"
                    print(f"{sent}, {self.memory[-1] - self.memory[0]:+.0f} MB", flush=True)
            reached = requests / (time.monotonic() - begun)
        self.memory.append(memory_of(self.service))
        return reached


def flood(
    folder: Path, *, requests: int, workers: int, rate: int, quiet_seconds: float, models: Sequence[float] = MODELS
) -> Figures:
    """*rate*: a second, at most. An equal part of *requests* for each of *models*, with quiet seconds of its own before."""
    begun = time.monotonic()
    env: dict[str, Any] = {"ADDRESS_RATE_LIMIT": "10000000", "OPENAI_API_KEY": "k"}
    with FakeOpenAI() as fake:
        service = Service(folder, workers=workers, OPENAI_BASE_URL=fake.base_url, **env).start()
        pool = hostile_pool(service, Credentials.made_in(service), min(600, requests // 10))
        token = service.token("honest", service.add_client("honest"))
        assert service.stop() == 0  # what was tried is summed up
        service.start()
        before, sent, told = len(service.records()), Flood(service, cycle(pool), rate), []
        for model_seconds in models:
            fake.set("ok", delay=model_seconds)
            waits = honest_waits(sent, token, requests // len(models), quiet_seconds)
            told.append(f"a model of {1000 * model_seconds:.0f} ms: {'; '.join(waits)}")
        assert service.stop() == 0
        records = service.records()[before:]
        seen = sent.seen
        seen.counts.verify(records, seen.several)
        assert seen.counts.silent == 0, f"{seen.counts.silent} requests without an answer"
        assert service.verify()["ok"]
        assert "Traceback" not in service.output()
    grown = [now - sent.memory[0] for now in sent.memory]
    memory = f"{grown[-1]:+.0f} MB at the end, {max(grown):+.0f} at most (PSS of all processes; wanted: 50)"
    remarks = [seen.counts.told_statuses(), f"{seen.left:,} left at once", seen.counts.told(), memory, *told]
    return Figures(seen.sent, len(records), time.monotonic() - begun, remarks=[*remarks, "wanted: p99 at most doubled"])


def honest_waits(sent: Flood, token: str, requests: int, quiet_seconds: float) -> Iterator[str]:
    """Of a caller beside the flood; in the quiet before; and beside a flood of another server that takes this machine's time."""
    service = sent.service
    with honest_caller(service.port, token, "/ask") as quiet:
        time.sleep(quiet_seconds)
    with bare_server() as port, honest_caller(service.port, token, "/ask") as elsewhere:
        other = Flood(service, sent.pool, sent.rate)
        asyncio.run(other.send(port, round(sent.rate * quiet_seconds)))
    with honest_caller(service.port, token, "/ask") as waits:
        reached = asyncio.run(sent.send(service.port, requests))
    yield f"{reached:.0f} hostile requests/s"
    yield from waits.told(quiet, elsewhere)


def hostile_pool(service: Service, credentials: Credentials, mutants: int) -> list[Hostile]:
    """Odd JSON and strings, probes, mutants (all of them such that they are answered once they are sent), and leavers."""
    every = random.Random(SEED)
    odd = list(odd_requests(credentials))
    changed = filter(is_one, by_hypothesis(tuple(valid_requests(credentials)), mutants))
    tried = [*every.sample(odd, min(mutants, len(odd))), *changed]
    with ThreadPoolExecutor(PARALLEL) as threads:
        answered = threads.map(lambda one: bool(speak(service.port, one, seconds=1)), tried)
        pool = [Hostile(one) for one, said in zip(tried, answered, strict=True) if said]
    pool += [Hostile(probe.request) for probe in PROBES if probe.direct]
    pool += [Hostile(request("POST", "/ask", f"Bearer {number}.y.z", b"{}")) for number in range(mutants // 4)]
    slow = Hostile(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    pool += [slow] * (len(pool) // 50)  # each waits for its 408
    openapi = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    halves = (b"", b"GET", openapi * 50, HALF_BODY)
    pool += [Hostile(half, is_left=True) for half in halves] * (len(pool) // 80)
    every.shuffle(pool)
    return pool


def is_one(data: bytes) -> bool:
    """Whether nothing stands behind it: that would be refused, too, and not answered where the connection ends first."""
    head, _, body = data.partition(b"\r\n\r\n")
    return [int(length) for length in LENGTH.findall(head)] == [len(body)] * bool(body) and b"chunked" not in head.lower()


async def _exchange(port: int, hostile: Hostile, seen: Seen, free: asyncio.Semaphore) -> None:
    """One that is not over in SECONDS counts as silent."""
    exchange = Exchange(hostile)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                transport, _ = await asyncio.get_running_loop().create_connection(lambda: exchange, "127.0.0.1", port)
                try:
                    await exchange.ended
                finally:
                    transport.close()
    finally:
        free.release()
    seen.sent += 1
    seen.left += hostile.is_left
    if not hostile.is_left:
        seen.several += hostile.request.count(b" HTTP/1.1\r\n") > 1
        seen.counts.add(list(answers_in(bytes(exchange.said))))


def memory_of(service: Service) -> float:
    """MB of all processes."""
    assert service.process is not None
    pids = [service.process.pid, service.notary_pid(), *service.worker_pids()]
    return sum(Footprint.of(pid).pss_mb for pid in pids if pid)
