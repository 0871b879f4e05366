"""Nobody reads the service's output, and the security log is a pipe that nobody empties: it answers, and counts what it loses."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from ..support.waiting import until
from .crash import upstream
from .figures import Figures
from .load import Load

LONGEST_SECONDS = 15.0
"""Of one answer, on a machine that is busy with other tests."""
LOST = re.compile(rb" events_lost count=([0-9]+)\n")


def soak(folder: Path, *, seconds: float, workers: int, clients: int = 16) -> Figures:
    """Ask for *seconds*, and until events are lost, while both outputs hang. Then read them, and count."""
    with FakeOpenAI(keep_digests=True) as fake, stuck_service(folder, workers, **upstream(fake)) as stuck:
        return asyncio.run(_soak(stuck, seconds, clients))


@dataclass(frozen=True, slots=True)
class Stuck:
    """A service whose outputs are pipes that nobody empties, and their ends for reading."""

    service: Service
    secret: str
    output: int
    events: int


@contextmanager
def stuck_service(folder: Path, workers: int, **env: str) -> Iterator[Stuck]:
    service = Service(folder, workers=workers, **env)
    secret = service.add_client("alice")
    os.mkfifo(folder / "security.fifo")
    service.env["SECURITY_LOG_PATH"] = str(folder / "security.fifo")
    events = os.open(folder / "security.fifo", os.O_RDONLY | os.O_NONBLOCK)
    reader, writer = os.pipe()
    fill(writer)
    try:
        service.start(output=writer)
        os.close(writer)
        writer = -1
        with service:
            yield Stuck(service, secret, reader, events)
    finally:
        for fd in (reader, writer, events):
            if fd >= 0:
                os.close(fd)


def fill(pipe: int) -> None:
    """Until it takes nothing more."""
    flags = fcntl.fcntl(pipe, fcntl.F_GETFL)
    fcntl.fcntl(pipe, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for size in (4096, 1):
        try:
            while True:
                os.write(pipe, b"\n" * size)
        except BlockingIOError:
            continue
    fcntl.fcntl(pipe, fcntl.F_SETFL, flags)


async def _soak(stuck: Stuck, seconds: float, clients: int) -> Figures:
    service, started = stuck.service, time.monotonic()
    token = service.token("alice", stuck.secret)
    slowest, lost = 0.0, 0
    async with Load(service.port, token, clients) as asking, httpx.AsyncClient(base_url=service.url, timeout=60) as probe:
        while time.monotonic() < started + seconds or not lost:
            asked = time.monotonic()
            for path in ("/livez", "/readyz"):
                response = await probe.get(path)
                assert response.status_code == 200, path
            lost = response.json()["lost"]["security_log"]
            slowest = max(slowest, time.monotonic() - asked)
            await asyncio.sleep(0.2)
    statuses = Counter(one.status for one in asking.outcomes)
    assert set(statuses) == {200}, statuses
    assert slowest < LONGEST_SECONDS, f"a probe took {slowest:.1f} s"
    lost = httpx.get(service.url + "/readyz").json()["lost"]["security_log"]
    with reading(stuck.output) as said, reading(stuck.events) as told:
        await until(lambda: sum(_count(told)) >= asking.answered + 1)
        assert await asyncio.to_thread(service.stop) == 0
    kept, counted = _count(told)
    assert kept + counted == asking.answered + 1, f"{kept} lines and {counted} lost of {asking.answered + 1}"
    assert counted == lost, f"/readyz says {lost}, the security log {counted}"
    assert b"Serving on " in said
    assert b"Traceback" not in said
    remarks = [f"{kept:,} events kept and {counted:,} lost", f"slowest probe {slowest:.2f} s"]
    return Figures(asking.answered, len(service.records()), time.monotonic() - started, remarks=remarks)


def _count(told: bytearray) -> tuple[int, int]:
    """The events of this service in its security log, and how many it says were lost."""
    lost = sum(map(int, LOST.findall(told)))
    return told.count(b" INFO ask_answered ") + told.count(b" INFO token_issued "), lost


@contextmanager
def reading(fd: int) -> Iterator[bytearray]:
    """What comes out of *fd*, read in a thread from now on until its writers are gone."""
    received = bytearray()
    os.set_blocking(fd, True)

    def read() -> None:
        while piece := os.read(fd, 1 << 16):
            received.extend(piece)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield received
    finally:
        thread.join(60)
        assert not thread.is_alive(), "somebody still holds the pipe"
