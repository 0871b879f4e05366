"""A disk of 64 KiB that fills under load and gets space again."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from pathlib import Path

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from ..support.small_disk import SmallDisk
from .crash import steadily_refusing, token_status, upstream
from .evidence import Evidence
from .figures import Figures
from .load import Load, ask_all

LOG = "audit_log.jsonl"


def fill(folder: Path, *, workers: int, clients: int = 64, fills: int = 1) -> Figures:
    """*fills* times: fill the disk until requests are refused, then add space until they are answered."""
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
        for number in range(fills):
            # (1) The disk is full, even for the small records of the probes.
            await steadily_refusing(service, load, 3)  # longer than two probes take
            # (2) Every question is refused with the reason, and no unrecorded call goes upstream.
            calls, asked, counted = fake.calls(), _asked(disk), len(load.outcomes)
            refused = await ask_all(service.port, token, clients, [f"while full {n}-{size}" for n in range(3 * clients)])
            assert {(one.status, one.code) for one in refused} == {(503, "audit_unavailable")}
            assert {(one.status, one.code) for one in load.outcomes[counted:]} <= {(503, "audit_unavailable")}
            # The notary process frees a page at times, so a question may still be recorded and asked.
            assert fake.calls() - calls <= _asked(disk) - asked
            assert await asyncio.to_thread(token_status, service, secret) == 503
            # (3) While the disk is full, the log has no torn line.
            assert disk.seen(LOG).read_bytes().endswith(b'"}\n')
            # (4) With space, the service resumes by itself.
            # Little: it may be full again before every worker is ready. Each other time enough for the index.
            size += 64 * (1 + number % 2)
            answered, begun = load.answered, time.monotonic()
            disk.resize(size)
            while load.answered == answered:
                told = Counter((one.status, one.code) for one in load.outcomes[counted:])
                assert time.monotonic() < begun + 30, f"no question is answered although there is space again: {told}"
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


def _asked(disk: SmallDisk) -> int:
    """How many questions the log holds."""
    return disk.seen(LOG).read_bytes().count(b'"action":"ask.received"')
