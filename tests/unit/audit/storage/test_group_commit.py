"""Group commit while the disk fails or hangs: refused in time, nothing promised that is not durable, and it resumes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from app.audit.format.record import Receipt
from app.audit.log import AuditLog
from app.audit.storage import log_writer
from app.errors import AuditCorrupt, AuditUnavailable

from ....support.checked import chain_report
from ....support.paths import ROOT
from ....support.stores import open_store
from ....support.waiting import run_in_time, until

WRITE_TIMEOUT = 0.4
PROBE_SECONDS = 0.2
TIMEOUT_SECONDS = 30.0


@pytest.fixture(autouse=True)
def probes_are_frequent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "PROBE_SECONDS", PROBE_SECONDS)


@asynccontextmanager
async def recording(path: Path) -> AsyncIterator[AuditLog]:
    log = AuditLog(open_store(path), timeout_seconds=WRITE_TIMEOUT)
    if log.is_empty():
        log.create({"origin": "test"})
    async with log:
        yield log
    log.close()


async def record(log: AuditLog, number: int = 0) -> Receipt:
    return await log.record("ask.received", user_id="alice", details={"n": number, "text": "x" * 300})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def has_begun(log: AuditLog) -> bool:
    """The writer thread has taken what was handed in: whatever follows can only wait."""
    return bool(log._commits._unresolved) and log._commits._writer._inbox.empty()


def verify(path: Path, *receipts: Receipt) -> None:
    assert chain_report(AuditLog(open_store(path)), receipts).findings == []


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


@pytest.mark.slow
def test_while_the_disk_hangs_callers_are_refused_in_time_then_it_resumes(tmp_path: Path) -> None:
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

    run_in_time(main())


@pytest.mark.slow
def test_a_record_that_waits_behind_a_hung_write_is_not_written_later(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            with held(path) as let_go:
                first = asyncio.create_task(record(log, 1))
                await until(lambda: has_begun(log))
                second = asyncio.create_task(record(log, 2))
                await asyncio.wait([first, second])
                assert [type(one.exception()) for one in (first, second)] == [AuditUnavailable] * 2
                let_go()
                await until(lambda: log.closed_because is None)
        assert [one["details"].get("n") for one in lines(path) if one["action"] == "ask.received"] in ([], [1])

    run_in_time(main())


@pytest.mark.slow
def test_a_caller_who_disconnects_before_the_write_leaves_no_record(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            with held(path):
                first = asyncio.create_task(record(log, 1))
                await until(lambda: has_begun(log))
                second = asyncio.create_task(record(log, 2))
                await asyncio.sleep(0)
                second.cancel()
                await asyncio.wait([first, second])
            await until(lambda: log.closed_because is None)
        assert 2 not in [one["details"].get("n") for one in lines(path)]

    run_in_time(main())


@pytest.mark.slow
def test_the_end_of_the_service_does_not_wait_for_a_hung_disk(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        log = AuditLog(open_store(path), timeout_seconds=WRITE_TIMEOUT)
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

    run_in_time(main())


def test_what_was_handed_in_before_the_end_is_still_written(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            waiting = [asyncio.create_task(record(log, n)) for n in range(100)]
            await asyncio.sleep(0)
        verify(path, *[await one for one in waiting])

    run_in_time(main())


# --- a blocked event loop, and a healthy disk -----------------------------------------------------


def holding_nothing(seconds: float) -> None:
    """As a call into the system that should have been awaited."""
    time.sleep(seconds)


def holding_the_interpreter(seconds: float) -> None:
    """As a large document that is parsed: the writer thread cannot run either."""
    started = time.perf_counter()
    max(range(1_000_000))
    max(range(int(1_000_000 * seconds / (time.perf_counter() - started))))


@pytest.mark.parametrize(
    ("block", "new_loop"),
    [
        pytest.param(holding_nothing, asyncio.new_event_loop, id="asyncio"),
        pytest.param(holding_nothing, uvloop.new_event_loop, id="uvloop"),
        pytest.param(holding_the_interpreter, uvloop.new_event_loop, id="uvloop, holding the interpreter"),
    ],
)
@pytest.mark.slow
def test_a_blocked_event_loop_is_no_hung_disk(
    tmp_path: Path, block: Callable[[float], None], new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            receipts = [await record(log)]
            for number in range(4):  # block at another moment of the writing each time
                waiting = [asyncio.create_task(record(log, n)) for n in range(5)]
                for _ in range(number):
                    await asyncio.sleep(0)
                block(1.25 * WRITE_TIMEOUT)
                receipts += await asyncio.gather(*waiting)
            assert log.closed_because is None
        verify(path, *receipts)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(main(), 60))


@pytest.mark.slow
def test_a_disk_that_hangs_is_noticed_though_the_loop_is_often_blocked(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            with held(path):
                waiting, started = asyncio.create_task(record(log)), time.monotonic()
                while not waiting.done():
                    await asyncio.sleep(WRITE_TIMEOUT / 20)
                    time.sleep(WRITE_TIMEOUT / 3)
                assert time.monotonic() - started < 6 * WRITE_TIMEOUT
                assert isinstance(waiting.exception(), AuditUnavailable)
            await until(lambda: log.closed_because is None)

    run_in_time(main())


# --- a log that is taken away --------------------------------------------------------------------


@pytest.mark.slow
def test_a_log_that_is_moved_away_closes_the_service_until_it_is_back(tmp_path: Path) -> None:
    path, away = tmp_path / "log.jsonl", tmp_path / "away"

    async def main() -> None:
        changes: list[str] = []
        log = AuditLog(open_store(path), timeout_seconds=WRITE_TIMEOUT, on_change=lambda event, detail: changes.append(event))
        log.create({})
        async with log:
            first = await record(log)
            path.rename(away)
            with pytest.raises(AuditUnavailable):
                await record(log)
            assert "moved or replaced" in str(log.closed_because)
            await asyncio.sleep(3 * PROBE_SECONDS)  # a probe must not make a new one
            assert not path.exists()
            away.rename(path)
            await until(lambda: log.closed_because is None)
            verify(path, first, await record(log))
        assert changes == ["audit_closed", "audit_resumed"]

    run_in_time(main())


@pytest.mark.slow
def test_a_log_that_is_cut_while_it_is_written_closes_the_service_for_good(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            await record(log)
            path.write_bytes(path.read_bytes()[:-100])
            for _ in range(2):
                with pytest.raises(AuditUnavailable):
                    await record(log)
                await asyncio.sleep(3 * PROBE_SECONDS)
            assert "shorter than it was" in str(log.closed_because)

    run_in_time(main())


def test_a_log_that_starts_while_nothing_can_be_written_opens_when_it_can(tmp_path: Path) -> None:
    """It must not end the service; and the end of the log is looked at before anybody is let in."""
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        log = AuditLog(open_store(path), timeout_seconds=WRITE_TIMEOUT)
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

    run_in_time(main())


@pytest.mark.slow
def test_a_closed_log_whose_end_was_edited_stays_closed(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"

    async def main() -> None:
        async with recording(path) as log:
            await record(log)
            edited = path.read_bytes().replace(b'"n":0', b'"n":9')
            path.with_name("edited").write_bytes(edited)
            path.with_name("edited").rename(path)
            with pytest.raises(AuditUnavailable):
                await record(log)
            await asyncio.sleep(3 * PROBE_SECONDS)
            assert log.closed_because
        assert path.read_bytes() == edited
        with pytest.raises(AuditCorrupt):
            AuditLog(open_store(path)).recover()

    run_in_time(main())


def test_the_writer_outlives_an_unexpected_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "log.jsonl"
    times = iter(["2026-11-23T09:15:02.123456Z", KeyError("the clock broke")])

    def clock() -> str:
        now = next(times, "2026-11-23T09:15:03.123456Z")
        if isinstance(now, Exception):
            raise now
        return str(now)

    async def main() -> None:
        log = AuditLog(open_store(path), timeout_seconds=WRITE_TIMEOUT, clock=clock)
        log.create({})
        async with log:
            with pytest.raises(AuditUnavailable):
                await record(log)
            await until(lambda: log.closed_because is None)
            verify(path, await record(log))
        assert "the clock broke" in caplog.text

    run_in_time(main())
