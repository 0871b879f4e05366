"""/dev/shm, where limits are counted, is full under load, full at the start, or read-only: readiness says so."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service
from ..support.small_disk import SmallDisk
from ..support.waiting import until
from .crash import answered_again, upstream
from .figures import Figures
from .load import Load

MEMORY = Path("/dev/shm")
KIB = 32 * 1024  # the limiter's own files may take some megabytes of it
UNCOUNTED = (503, "limits_unavailable")
READ_ONLY = "/dev/shm is missing or cannot be written: the limits are counted in"


def fill(folder: Path, *, workers: int, fills: int = 1, clients: int = 16) -> Figures:
    """*fills* times: full until requests are refused for it, then space again. Nobody restarts anything."""
    folder.mkdir(parents=True, exist_ok=True)
    with FakeOpenAI() as fake, SmallDisk(MEMORY, KIB, home=folder) as memory:
        with Service(folder, workers=workers, prefix=memory.prefix, **upstream(fake)) as service:
            return asyncio.run(_fill(service, memory, fills, clients))


async def _fill(service: Service, memory: SmallDisk, fills: int, clients: int) -> Figures:
    token, started, figures = service.token("alice", service.add_client()), time.monotonic(), Figures(0, 0, 0.0)
    slowest = 0.0
    async with Load(service.port, token, clients) as asking:
        for _ in range(fills):
            await answered_again(asking)
            pour(memory)
            await until(lambda: ready(service)[0] == 503)
            counted = len(asking.outcomes)
            await until(lambda counted=counted: len(asking.outcomes) > counted + clients)  # type: ignore[misc]
            said = ready(service)[1]
            assert (said["limits"], said["audit"]) == ("not counted: every request is refused", "writable"), said
            at = time.monotonic()
            assert HTTP.get(service.url + "/livez").status_code == 200
            slowest = max(slowest, time.monotonic() - at)
            at = time.monotonic()
            memory.seen("filler").unlink()
            await until(lambda: ready(service)[0] == 200)
            figures.ready.append(time.monotonic() - at)
        await answered_again(asking)
    outcomes = Counter((one.status, one.code) for one in asking.outcomes)
    assert set(outcomes) == {(200, None), UNCOUNTED}, outcomes
    events = {line.split()[2] for line in service.security_log("limits_unavailable", "limits_back")}
    assert {"limits_unavailable", "limits_back"} <= events
    figures.answers, figures.records = asking.answered, len(service.records())
    figures.broken, figures.seconds = outcomes[UNCOUNTED], time.monotonic() - started
    figures.remarks.append(f"/readyz said it {fills} of {fills} times (wanted all); /livez meanwhile {1000 * slowest:.0f} ms")
    return figures


def start_full(folder: Path) -> str:
    """What a service says that starts while nothing can be written there, and answers once it can."""
    folder.mkdir(parents=True, exist_ok=True)
    with FakeOpenAI() as fake, SmallDisk(MEMORY, KIB, home=folder) as memory:
        service = Service(folder, workers=1, prefix=memory.prefix, **upstream(fake))
        secret = service.add_client()
        pour(memory)
        service.start(wait=False)
        with service:
            asyncio.run(until(lambda: ready(service)[0] == 503))
            memory.seen("filler").unlink()
            service.wait_ready()
            assert service.ask(service.token("alice", secret)).status_code == 200
        return service.output()


def start_read_only(folder: Path) -> str:
    """What a service says that counts elsewhere."""
    folder.mkdir(parents=True, exist_ok=True)
    with FakeOpenAI() as fake, SmallDisk(MEMORY, KIB, home=folder) as memory:
        subprocess.run([*memory.prefix, "mount", "-o", "remount,ro", str(MEMORY)], check=True)
        with Service(folder, workers=1, prefix=memory.prefix, **upstream(fake)) as service:
            assert service.ask(service.token("alice", service.add_client())).status_code == 200
        return service.output()


def pour(memory: SmallDisk) -> None:
    """Write until nothing more fits."""
    script = 'cat /dev/zero > "$1"'
    subprocess.run([*memory.prefix, "sh", "-c", script, "sh", str(MEMORY / "filler")], capture_output=True, check=False)


def ready(service: Service) -> tuple[int, dict[str, Any]]:
    try:
        answer = HTTP.get(service.url + "/readyz", timeout=20)
    except httpx.TransportError:  # it does not listen yet
        return 0, {}
    return answer.status_code, answer.json()
