"""A disk of 64 KiB that fills under load, and is given space again."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import httpx

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from ..support.small_disk import SmallDisk
from .crash import upstream
from .evidence import Evidence
from .figures import Figures
from .load import Load, ask_all

LOG = "audit_log.jsonl"


def fill(folder: Path, *, workers: int, clients: int = 64, fills: int = 1) -> Figures:
    """Fill the disk, be refused, give space, be answered; *fills* times over."""
    folder.mkdir(parents=True, exist_ok=True)
    with FakeOpenAI(keep_digests=True) as fake, SmallDisk(folder / "audit") as disk:
        settings = {**upstream(fake), "AUDIT_LOG_PATH": f"./audit/{LOG}"}
        with Service(folder, workers=workers, prefix=disk.prefix, **settings) as service:
            return asyncio.run(_fill(service, service.add_client("alice"), fake, disk, clients, fills))


async def _fill(service: Service, secret: str, fake: FakeOpenAI, disk: SmallDisk, clients: int, fills: int) -> Figures:
    token = await asyncio.to_thread(service.token, "alice", secret)
    started, figures = time.monotonic(), Figures(0, 0, 0.0)
    size = 64
    async with Load(service.port, token, clients) as load:
        for _ in range(fills):
            # (1) It fills, and stays full: even the probes' own small records find no more room.
            await _steadily_refusing(service, load)
            # (2) Refusing means: no call goes upstream that is not written down, and everybody hears why.
            calls, asked, told = fake.calls(), _asked(disk), len(load.outcomes)
            refused = await ask_all(service.port, token, clients, [f"while full {n}-{size}" for n in range(3 * clients)])
            assert {(one.status, one.code) for one in refused} == {(503, "audit_unavailable")}
            assert {(one.status, one.code) for one in load.outcomes[told:]} <= {(503, "audit_unavailable")}
            # The notary frees a page now and then, and takes it again: a question may slip in, with its record.
            assert fake.calls() - calls <= _asked(disk) - asked
            assert await asyncio.to_thread(_token_status, service, secret) == 503
            # (3) What stands is whole, with no torn line, while the disk is full.
            assert disk.seen(LOG).read_bytes().endswith(b'"}\n')
            # (4) With space it resumes by itself.
            size += 64  # so little that under this load it may be full again before every worker is ready
            answered, begun = load.answered, time.monotonic()
            disk.resize(size)
            while load.answered == answered:
                assert time.monotonic() < begun + 30, "nobody is answered though there is space again"
                await asyncio.sleep(0.01)
            figures.ready.append(time.monotonic() - begun)
        disk.resize(65536)
    await asyncio.to_thread(service.wait_ready)
    copy = service.folder / LOG
    shutil.copy(disk.seen(LOG), copy)
    evidence = Evidence(copy)
    evidence.read(load.outcomes)
    evidence.check_calls(fake.seen()["sha256"])
    assert {one.status for one in load.outcomes} <= {200, 503}, {one.status for one in load.outcomes}
    assert all(one["details"]["refused"] >= 0 for one in evidence.by("log.resumed"))
    assert len(evidence.by("log.resumed")) >= fills
    assert evidence.by("log.recovered") == []
    assert [path.name for path in disk.seen("").iterdir() if "torn" in path.name] == []
    figures.answers, figures.records = load.answered, evidence.records
    figures.broken, figures.left_open = len(load.outcomes) - load.answered, evidence.left_open
    figures.seconds = time.monotonic() - started
    return figures


async def _steadily_refusing(service: Service, load: Load) -> None:
    """Until nothing but refusals was told for longer than two probes take, and the service says that it is not ready."""
    since, seen, told, deadline = time.monotonic(), load.answered, len(load.outcomes), time.monotonic() + 120
    unready = False
    while time.monotonic() < since + 3 or len(load.outcomes) == told or not unready:
        async with httpx.AsyncClient(timeout=5) as client:
            unready = (await client.get(service.url + "/readyz")).status_code == 503
        if load.answered != seen:
            since, seen, told = time.monotonic(), load.answered, len(load.outcomes)
        assert time.monotonic() < deadline, "the disk does not fill"
        await asyncio.sleep(0.05)


def _asked(disk: SmallDisk) -> int:
    """How many questions the log holds."""
    return disk.seen(LOG).read_bytes().count(b'"action":"ask.received"')


def _token_status(service: Service, secret: str) -> int:
    form = {"grant_type": "client_credentials"}
    return httpx.post(service.url + "/token", data=form, auth=("alice", secret), timeout=30).status_code
