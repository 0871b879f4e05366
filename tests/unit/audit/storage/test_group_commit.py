"""When the disk fails or hangs: nothing is promised that is not durable, nobody waits for ever, service comes back."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.record import Receipt, draft
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore
from app.errors import AppError, AuditCorrupt, AuditUnavailable

from ....support.checked import chain_report
from ....support.forgetful_disk import ForgetfulDisk
from ....support.optional import leave_out
from ....support.paths import ROOT
from ....support.replaced_os import replaced_os

WRITE_TIMEOUT = 0.4
TIMEOUT_SECONDS = 30.0


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(bounded())


@asynccontextmanager
async def recording(path: Path) -> AsyncIterator[AuditLog]:
    log = AuditLog(JsonlStore(path), timeout_seconds=WRITE_TIMEOUT)
    if log.is_empty():
        log.create({"origin": "test"})
    async with log:
        yield log
    log.close()


async def record(log: AuditLog, number: int = 0) -> Receipt:
    return await log.record("ask.received", user_id="alice", details={"n": number, "text": "x" * 300})


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def verify(path: Path, *receipts: Receipt) -> None:
    assert chain_report(AuditLog(JsonlStore(path)), receipts).findings == []


# --- a disk that forgets what was not synced, at every call in turn ------------------------------


def work_on(path: Path, disk: ForgetfulDisk) -> list[Receipt]:
    """Append until something fails, and go on, as several callers would; what was acknowledged."""
    store, acknowledged = JsonlStore(path), []
    with replaced_os(disk):
        for number in range(8):
            drafts = [draft("log.alive", None, {"n": number, "text": "x" * (700 * number)}) for _ in range(number % 3 + 1)]
            try:
                acknowledged += append(store.append, drafts)
            except AppError:
                store.close()
                store = JsonlStore(path)  # another process takes over
        store.close()
    return acknowledged


def new_log(path: Path) -> Receipt:
    return AuditLog(JsonlStore(path)).create({"origin": "test"})


def disk_of(path: Path, **how: Any) -> ForgetfulDisk:
    return ForgetfulDisk(path, durable=bytearray(path.read_bytes()), **how)


def lose_power(path: Path, disk: ForgetfulDisk) -> None:
    """What was not synced is gone; the mark stays as new as it can be."""
    path.write_bytes(disk.durable)


def failing(first: int, how: str) -> frozenset[int]:
    times = {"once": 1, "twice": 2, "three times": 3, "for ever": 10_000}[how]
    return frozenset(range(first, first + times))


@pytest.mark.parametrize("persisted", [False, True], ids=["not persisted", "persisted all the same"])
@pytest.mark.parametrize("how", ["once", "twice", "three times", "for ever"])
def test_whichever_call_fails_acknowledged_records_outlive_a_power_loss(tmp_path: Path, how: str, persisted: bool) -> None:
    counted = tmp_path / "counted.jsonl"
    new_log(counted)
    disk = disk_of(counted)
    assert len(work_on(counted, disk)) == 15
    for first in range(disk.calls):
        path = tmp_path / f"{first}.jsonl"
        opened = new_log(path)
        faulty = disk_of(path, fail=failing(first, how), persisted=persisted)
        receipts = [opened, *work_on(path, faulty)]
        lose_power(path, faulty)
        AuditLog(JsonlStore(path)).recover()
        verify(path, *receipts)


def test_a_sync_that_fails_once_is_repaired_and_nobody_notices(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    new_log(path)
    disk = disk_of(path, fail=frozenset({1}))  # write, sync
    assert len(work_on(path, disk)) == 15
    assert bytes(disk.durable) == path.read_bytes()


def test_a_sync_that_always_fails_acknowledges_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.jsonl"
    opened = new_log(path)
    before = path.read_bytes()
    disk = disk_of(path)
    monkeypatch.setattr(ForgetfulDisk, "fdatasync", always_fails)
    assert work_on(path, disk) == []
    assert path.read_bytes() == before
    verify(path, opened)


def always_fails(disk: ForgetfulDisk, fd: int) -> None:
    disk.dirty.clear()
    raise OSError(5, "as told")


# --- strace: real system calls that fail or kill -------------------------------------------------

APPENDER = """
import sys
from pathlib import Path
from app.errors import AppError
from app.audit.storage.append import append
from app.audit.format.record import draft
from app.audit.storage.jsonl import JsonlStore
store = JsonlStore(Path(sys.argv[1]))
for n in range(10):
    try:
        receipt, = append(store.append, [draft("log.alive", None, {"n": n})])
        print(f"{receipt.seq}:{receipt.hash}", flush=True)
    except AppError as error:
        print(error.code, flush=True)
"""


def traced(path: Path, inject: str) -> tuple[list[Receipt], list[str]]:
    """Ten appends in a process of its own, under `strace -e inject`: what was acknowledged, what was refused."""
    if not shutil.which("strace"):
        leave_out("strace is missing, real system calls were not made to fail (Debian: apt-get install strace)")
    strace = [
        "strace",
        "-qq",
        "-o",
        "/dev/null",
        "-P",
        str(path),
        "-e",
        f"trace={inject.split(':')[0]}",
        "-e",
        f"inject={inject}",
    ]
    command = [*strace, sys.executable, "-c", APPENDER, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    if "PTRACE" in done.stderr or "ptrace" in done.stderr:
        leave_out("strace may not trace here")
    said = done.stdout.split()
    return [Receipt(int(one.split(":")[0]), one.split(":")[1]) for one in said if ":" in one], [
        one for one in said if ":" not in one
    ]


@pytest.mark.parametrize(
    ("inject", "refused"),
    [
        ("fdatasync:error=EIO:when=3", 0),
        ("fdatasync:error=EIO:when=3+", 8),
        ("fdatasync:error=EIO:when=3..4", 1),
        ("pwrite64:error=ENOSPC:when=4", 1),
        ("pwrite64:error=EDQUOT:when=2+", 9),
        ("pwrite64:retval=10:when=4", None),
    ],
)
def test_a_system_call_that_fails_refuses_its_callers_and_no_others(tmp_path: Path, inject: str, refused: int | None) -> None:
    """retval: the kernel says that it wrote ten bytes, and wrote none; so the record is torn, though nobody can know."""
    path = tmp_path / "log.jsonl"
    new_log(path)
    acknowledged, codes = traced(path, inject)
    if refused is None:
        assert len(acknowledged) + len(codes) == 10
        return
    assert (len(codes), set(codes) - {"audit_unavailable"}) == (refused, set())
    AuditLog(JsonlStore(path)).recover()
    verify(path, *acknowledged)
    assert len(lines(path)) == 1 + len(acknowledged) == 11 - refused


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
@pytest.mark.parametrize("when", [1, 4, 10])
def test_a_writer_killed_at_a_system_call_loses_nothing_that_it_acknowledged(tmp_path: Path, call: str, when: int) -> None:
    path = tmp_path / "log.jsonl"
    new_log(path)
    acknowledged, codes = traced(path, f"{call}:signal=SIGKILL:when={when}")
    assert (len(acknowledged), codes) == (when - 1, [])
    AuditLog(JsonlStore(path)).recover()
    verify(path, *acknowledged)
    assert len(lines(path)) in (when, when + 1)  # the one that was being written may stand


# --- a hung disk ---------------------------------------------------------------------------------

HOLDER = """
import sys
from pathlib import Path
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.store import Batch
def build(head, recovered):
    print("held", flush=True)
    sys.stdin.read()
    return Batch(b"", head)
JsonlStore(Path(sys.argv[1])).append(build)
"""


@contextmanager
def held(path: Path) -> Iterator[Callable[[], None]]:
    """A writer in another process that has the lock and does not get on, until it is let go or killed."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        try:
            yield holder.stdin.close
        finally:
            holder.kill()


def test_while_the_disk_hangs_callers_are_refused_in_time_and_it_resumes_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            first = await record(log, 1)
            with held(path) as let_go:
                started = time.monotonic()
                outcomes = await asyncio.gather(*(record(log, 2) for _ in range(8)), return_exceptions=True)
                assert [type(one) for one in outcomes] == [AuditUnavailable] * 8
                assert time.monotonic() - started < 20 * WRITE_TIMEOUT
                assert log.closed_because
                with pytest.raises(AuditUnavailable):  # at once: closed
                    await record(log, 3)
                let_go()
                await until(lambda: log.closed_because is None)
            last = await record(log, 4)
        verify(path, first, last)
        written = [(one["action"], one["details"].get("n")) for one in lines(path)]
        assert written.count(("ask.received", 3)) == 0
        assert written.count(("ask.received", 2)) <= 8  # handed to the writer already; refused, and none of them twice
        resumed = next(one for one in lines(path) if one["action"] == "log.resumed")
        assert resumed["details"]["refused"] == 9

    run(main())


def test_what_waits_behind_a_hung_write_is_not_written_after_its_caller_was_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            with held(path) as let_go:
                first = asyncio.create_task(record(log, 1))
                await asyncio.sleep(WRITE_TIMEOUT / 4)  # the writer has the first one; the second can only wait
                second = asyncio.create_task(record(log, 2))
                await asyncio.wait([first, second])
                assert [type(one.exception()) for one in (first, second)] == [AuditUnavailable] * 2
                let_go()
                await until(lambda: log.closed_because is None)
        assert [one["details"].get("n") for one in lines(path) if one["action"] == "ask.received"] in ([], [1])

    run(main())


def test_a_caller_who_hangs_up_before_the_write_leaves_no_record(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            with held(path):
                first = asyncio.create_task(record(log, 1))
                await asyncio.sleep(WRITE_TIMEOUT / 8)
                second = asyncio.create_task(record(log, 2))
                await asyncio.sleep(0)
                second.cancel()
                await asyncio.wait([first, second])
            await until(lambda: log.closed_because is None)
        assert 2 not in [one["details"].get("n") for one in lines(path)]

    run(main())


def test_the_end_of_the_service_does_not_wait_for_a_hung_disk(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        log = AuditLog(JsonlStore(path), timeout_seconds=WRITE_TIMEOUT)
        log.create({})
        with held(path):
            async with log:
                waiting = asyncio.create_task(record(log))
                await asyncio.sleep(0)
                started = time.monotonic()
            assert time.monotonic() - started < 20 * WRITE_TIMEOUT
            with pytest.raises(AuditUnavailable):
                await asyncio.wait_for(waiting, TIMEOUT_SECONDS)
            with pytest.raises(AuditUnavailable, match="not open"):
                await record(log)

    run(main())


def test_what_was_handed_in_before_the_end_is_still_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            waiting = [asyncio.create_task(record(log, n)) for n in range(100)]
            await asyncio.sleep(0)
        verify(path, *[await one for one in waiting])

    run(main())


# --- a log that is taken away --------------------------------------------------------------------


def test_a_log_that_is_moved_away_closes_the_service_until_it_is_back(tmp_path: Path) -> None:
    path, away = tmp_path / "log.jsonl", tmp_path / "away"

    async def main() -> None:
        changes: list[str] = []
        log = AuditLog(JsonlStore(path), timeout_seconds=WRITE_TIMEOUT, on_change=lambda event, detail: changes.append(event))
        log.create({})
        async with log:
            first = await record(log)
            path.rename(away)
            with pytest.raises(AuditUnavailable):
                await record(log)
            assert "moved or replaced" in str(log.closed_because)
            await asyncio.sleep(1.2)  # a probe must not make a new one
            assert not path.exists()
            away.rename(path)
            await until(lambda: log.closed_because is None)
            verify(path, first, await record(log))
        assert changes == ["audit_closed", "audit_resumed"]

    run(main())


def test_a_log_that_is_cut_while_it_is_written_closes_the_service_for_good(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            await record(log)
            path.write_bytes(path.read_bytes()[:-100])
            for _ in range(2):
                with pytest.raises(AuditUnavailable):
                    await record(log)
                await asyncio.sleep(1.2)
            assert "shorter than it was" in str(log.closed_because)

    run(main())


def test_a_worker_that_starts_while_nothing_can_be_written_is_closed_until_it_can(tmp_path: Path) -> None:
    """It must not end the service; and the end of the log is looked at before anybody is let in."""
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        log = AuditLog(JsonlStore(path), timeout_seconds=WRITE_TIMEOUT)
        log.create({})
        lock = path.with_name(path.name + ".lock")
        mark = lock.read_bytes()
        log.close()
        lock.unlink()
        lock.mkdir()
        with pytest.raises(AuditUnavailable) as caught:
            log.recover()
        log.close_until_writable(caught.value.detail)
        async with log:
            with pytest.raises(AuditUnavailable):
                await record(log)
            lock.rmdir()
            lock.write_bytes(mark)
            await until(lambda: log.closed_because is None)
            verify(path, await record(log))
        assert [one["action"] for one in lines(path)] == ["log.opened", "log.resumed", "ask.received"]

    run(main())


def test_an_edited_end_is_not_written_on_by_a_service_that_was_closed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            await record(log)
            edited = path.read_bytes().replace(b'"n":0', b'"n":9')
            path.with_name("edited").write_bytes(edited)
            path.with_name("edited").rename(path)
            with pytest.raises(AuditUnavailable):
                await record(log)
            await asyncio.sleep(1.5)
            assert log.closed_because
        assert path.read_bytes() == edited
        with pytest.raises(AuditCorrupt):
            AuditLog(JsonlStore(path)).recover()

    run(main())


def test_the_writer_outlives_a_fault_that_nobody_foresaw(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log.jsonl"
    times = iter(["2026-11-23T09:15:02.123456Z", KeyError("the clock broke")])

    def clock() -> str:
        now = next(times, "2026-11-23T09:15:03.123456Z")
        if isinstance(now, Exception):
            raise now
        return str(now)

    async def main() -> None:
        log = AuditLog(JsonlStore(path), timeout_seconds=WRITE_TIMEOUT, clock=clock)
        log.create({})
        async with log:
            with pytest.raises(AuditUnavailable):
                await record(log)
            await until(lambda: log.closed_because is None)
            verify(path, await record(log))
        assert "the clock broke" in caplog.text

    run(main())
