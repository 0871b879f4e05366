"""The disk is gone under load: every write and sync of every process of the service fails, or hangs, until it is back.

strace is attached to the running processes for that time and makes their system calls on the service's files fail; then it
detaches. The rate limiter's files are left alone: they are in memory, not on a disk.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..support.fake_openai import FakeOpenAI
from ..support.optional import leave_out
from ..support.service import Service
from ..support.waiting import until
from .crash import all_signed, answered_again, steadily_refusing, token_status, upstream
from .evidence import Evidence
from .figures import Figures
from .load import Load, ask_all
from .readers import Readers
from .strace import require_strace

CALLS = "pwrite64,fdatasync,fsync,ftruncate,rename"
REFUSED = {(503, "audit_unavailable")}
HOW = {"fails": f"{CALLS}:error=EIO", "hangs": "pwrite64,fdatasync,fsync:delay_enter={}"}


def take_away(
    folder: Path,
    *,
    seconds: float,
    how: str,
    workers: int,
    clients: int = 64,
    readers: int = 0,
    back_within: float | None = None,
) -> Figures:
    """*seconds* start when every request is refused. *back_within*: seconds until the first answer after the fault."""
    require_strace()
    with FakeOpenAI(keep_digests=True) as fake, Service(folder, workers=workers, **upstream(fake)) as service:
        return asyncio.run(_take_away(service, fake, seconds, how, clients, readers, back_within))


async def _take_away(
    service: Service, fake: FakeOpenAI, seconds: float, how: str, clients: int, readers: int, back_within: float | None
) -> Figures:
    secret = service.add_client("alice")
    token, started = service.token("alice", secret), time.monotonic()
    async with Load(service.port, token, clients) as asking:
        await answered_again(asking)
        await until(lambda: (service.log.with_suffix(".tree") / "checkpoint").exists())
        async with Readers(service, asking, readers) as reading:
            with _gone(service, HOW[how].format(round(2e6 * (seconds + 30)))):
                await steadily_refusing(service, asking, 1)
                # Every question is refused with the reason, no call goes upstream, no record is acknowledged.
                calls, counted, ends = fake.calls(), len(asking.outcomes), time.monotonic() + seconds
                while time.monotonic() < ends:
                    queries = [f"while gone {ends - time.monotonic()} {n}" for n in range(3)]
                    refused = await ask_all(service.port, token, clients, queries)
                    assert {(one.status, one.code) for one in refused} == REFUSED, refused
                    assert await asyncio.to_thread(token_status, service, secret) == 503
                    await asyncio.sleep(min(1.0, max(0.0, ends - time.monotonic())))
                answered = Counter((one.status, one.code) for one in asking.outcomes[counted:])
                assert set(answered) <= REFUSED, answered
                assert fake.calls() == calls, f"{fake.calls() - calls} calls while refusing"
            back = time.monotonic()
            await answered_again(asking)
            took = time.monotonic() - back
            await asyncio.to_thread(service.wait_ready)
            await answered_again(asking)
    evidence = Evidence(service.log)
    evidence.read(asking.outcomes)
    evidence.check_calls(fake.seen()["sha256"])
    await all_signed(evidence)
    statuses = Counter((one.status, one.code) for one in asking.outcomes)
    assert set(statuses) <= REFUSED | {(200, None)}, statuses
    assert evidence.by("log.resumed"), "the interruption is not recorded"
    assert back_within is None or took < back_within, f"back after {took:.2f} s"
    return Figures(
        asking.answered,
        evidence.records,
        time.monotonic() - started,
        broken=len(asking.outcomes) - asking.answered,
        left_open=evidence.left_open,
        recovered=evidence.actions["log.recovered"],
        ready=[took],
        remarks=reading.remarks(),
    )


@contextmanager
def _gone(service: Service, inject: str) -> Iterator[None]:
    """strace is attached to every thread of the service; when it detaches, hanging calls go on."""
    pids = [*service.worker_pids(), service.notary_pid()]
    command = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={inject.split(':')[0]}", "-e", f"inject={inject}"]
    command += [word for path in _files_on_disk(service) for word in ("-P", str(path))]
    command += [word for pid in pids for word in ("-p", str(pid))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr
        try:
            waiting = set(map(str, pids))
            for line in strace.stderr:
                if "ermitted" in line:
                    leave_out(f"strace may not attach here: {line.strip()}")
                waiting -= set(line.split())
                if not waiting:
                    break
            yield
        finally:
            strace.send_signal(signal.SIGINT)
            strace.stderr.read()


def _files_on_disk(service: Service) -> list[Path]:
    """All existing files, their folders, and files that may be created."""
    there = [service.folder, *service.folder.rglob("*")]
    tree = service.log.with_suffix(".tree")
    return sorted({*there, *(tree / name for name in ("checkpoint.new", "hashes.1", "hashes.2", "damaged"))})
