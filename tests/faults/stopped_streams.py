"""Streams whose service or log ends. Stopped: each is finished or ends in an error. Killed: questions have no terminal record.
The log cannot be written: each ends in an error, without an end marker."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from app.wiring.stop_times import FINISH_SHARE

from ..support.fake_modes import Mode
from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from ..support.waiting import until
from .crash import upstream
from .cut_client import ENDS, Caller, documents_in
from .cut_records import CutRecords, Record
from .cuts import PACE, TIMEOUT_SECONDS, Round, Wave
from .figures import Figures

STAYS = 60.0
LONG = Wave(Mode(chunks=600, interval=0.05), STAYS)


def stop(folder: Path, *, workers: int, streams: int = 30) -> Figures:
    """SIGTERM in mid-stream: a third ends in time, a third near the end of the grace period, a third long after."""
    whole = 15
    env = {"LLM_TIMEOUT_SECONDS": "1", "STREAM_KEEPALIVE_SECONDS": "0.3", "SHUTDOWN_GRACE_SECONDS": str(whole)}
    with FakeOpenAI() as fake, Service(folder, workers=workers, **upstream(fake), **env) as service:
        return asyncio.run(_stop(service, fake, streams, whole, whole * FINISH_SHARE))


async def _stop(service: Service, fake: FakeOpenAI, streams: int, whole: float, grace: float) -> Figures:
    token, started = service.token("alice", service.add_client("alice")), time.monotonic()
    this, running = Round(service, fake, token, random.Random()), list[asyncio.Task[None]]()
    for wave in (Wave(Mode(chunks=16, interval=0.2), STAYS), Wave(Mode(chunks=90, interval=grace / 90), STAYS), LONG):
        running += await begin(this, wave, streams // 3, spread=1.0)
    stopped = time.monotonic()
    status = await asyncio.to_thread(service.stop)
    took = time.monotonic() - stopped
    await asyncio.gather(*running)
    records, how = CutRecords(service.records()), Counter[str]()
    for caller in this.callers:
        how[check_stopped(caller, records)] += 1
    assert status == 0, f"it ended with {status}:\n{service.output()}"
    assert took < whole, f"it took {took:.1f} s to stop"
    assert how["finished"] >= streams // 3, how
    assert how["interrupted"] >= streams // 3, how
    _check_log(service, set())
    remarks = [*(f"{number} {what}" for what, number in how.items()), f"stopped after {took:.1f} s (grace {grace:.0f} s)"]
    return Figures(how.total(), len(service.records()), time.monotonic() - started, remarks=remarks)


def check_stopped(caller: Caller, records: CutRecords) -> str:
    """It was finished with its receipt, or it ends in an error event and its record shows exactly what came before."""
    received = records.received[caller.plan.name]
    end = records.ends.get(received["seq"])
    assert end is not None, f"{caller.plan} has no terminal record: {records.refused_by_id.get(received['request_id'])}"
    assert received["request_id"] not in records.refused_by_id, records.refused_by_id[received["request_id"]]
    if end["action"] == "ask.answered":
        assert caller.receipt() == {"seq": end["seq"], "hash": end["hash"]}, f"{caller.plan} got {caller.raw[-300:]!r}"
        return "finished"
    assert end["details"]["code"] == "interrupted", end
    assert _error_code(caller) == "interrupted", f"{caller.plan} got no error event: {caller.raw[-300:]!r}"
    _check_delivered(caller, end["details"]["delivered"])
    return "interrupted"


def _error_code(caller: Caller) -> object:
    """The code of the error event that ends the stream."""
    *_, last = documents_in(caller.given()) or [{}]
    told = last if caller.plan.endpoint == "/ask" else last.get("error", {})
    return told.get("code") or told.get("details", {}).get("error_code")


ERROR_BEGINS = {
    **dict.fromkeys(("/ask", "/v1/messages"), b"event: error\n"),
    "/v1/responses": b"event: response.failed\n",
    "/v1/chat/completions": b"data: ",
}
"""The first bytes of an error event."""


def _check_delivered(caller: Caller, delivered: Record | None) -> None:
    given = caller.given()
    before = given[: given.rindex(ERROR_BEGINS[caller.plan.endpoint])]
    recorded = (delivered["bytes"], delivered["sha256"]) if delivered else (0, hashlib.sha256(b"").hexdigest())
    assert recorded == (len(before), hashlib.sha256(before).hexdigest()), f"{caller.plan}: {len(before)} bytes came, {delivered}"


async def begin(this: Round, wave: Wave, number: int, spread: float = 0.0) -> list[asyncio.Task[None]]:
    """Start *number* callers that stay; returns once each has the start of its answer."""
    wave.set(this.fake)
    callers = this.new_callers(wave, number, "at any time", STAYS)
    afters = [this.chance.uniform(0, spread) for _ in callers]
    running = [
        asyncio.create_task(one.run(this.service.port, this.token, after)) for one, after in zip(callers, afters, strict=True)
    ]
    await until(lambda: all(one.words() for one in callers), "not all of them are answered")
    return running


# --- kill -9 -----------------------------------------------------------------------------------------


def kill(folder: Path, *, workers: int, rounds: int = 20, streams: int = 8) -> Figures:
    """Kill one worker *rounds* times with *streams* in flight: only its questions have no terminal record."""
    with FakeOpenAI() as fake, Service(folder, workers=workers, **upstream(fake), **PACE) as service:
        return asyncio.run(_kill(service, fake, rounds, streams))


async def _kill(service: Service, fake: FakeOpenAI, rounds: int, streams: int) -> Figures:
    token, started, broken = service.token("alice", service.add_client("alice")), time.monotonic(), set[str]()
    this, ready = Round(service, fake, token, random.Random()), list[float]()
    for _ in range(rounds):
        running = await begin(this, LONG, streams)
        await asyncio.sleep(this.chance.uniform(0, 0.2))
        await _kill_one(service, this.chance)
        await _until_noticed(this.callers[-streams:], running)
        broken |= {one.plan.name for one in this.callers[-streams:] if one.broken_off}
        for task in running:
            task.cancel()  # the others disconnect
        await asyncio.gather(*running, return_exceptions=True)
        ready.append(await asyncio.to_thread(service.wait_ready))
        await until(lambda: fake.calls("open") == 0, "a call lives on", TIMEOUT_SECONDS)
        await this.whole_stream()
    open_now = await _open_now(service, len(broken))
    records = CutRecords(service.records())
    assert open_now == {records.received[name]["seq"] for name in broken}, (
        "the questions without a terminal record are not those of the broken streams"
    )
    for caller in this.callers:
        assert caller.receipt() is None or caller.plan.name not in broken, caller.plan
    _check_log(service, open_now)
    seconds, number = time.monotonic() - started, sum(records.ends[seq]["action"] == "ask.answered" for seq in records.ends)
    return Figures(number, len(service.records()), seconds, len(broken), len(open_now), 0, ready, [f"{rounds} kills"])


async def _kill_one(service: Service, chance: random.Random) -> None:
    """Return once the process has ended."""
    pid = chance.choice(service.worker_pids())
    os.kill(pid, signal.SIGKILL)
    await until(lambda: pid not in service.worker_pids(), "it cannot be killed")


async def _until_noticed(callers: list[Caller], running: list[asyncio.Task[None]]) -> None:
    """Wait until each caller has either lost its connection or received more."""
    before = [len(one.raw) for one in callers]
    each = list(zip(callers, running, before, strict=True))
    await until(lambda: all(task.done() or len(one.raw) > had for one, task, had in each), "somebody is left hanging")


# --- no log ------------------------------------------------------------------------------------------


def take_log(folder: Path, *, workers: int, streams: int = 30) -> Figures:
    """The log is gone while streams end and a third of the callers disconnect; then it is back."""
    with FakeOpenAI() as fake, Service(folder, workers=workers, **upstream(fake), **PACE) as service:
        return asyncio.run(_take_log(service, fake, streams))


async def _take_log(service: Service, fake: FakeOpenAI, streams: int) -> Figures:
    token, started = service.token("alice", service.add_client("alice")), time.monotonic()
    this = Round(service, fake, token, random.Random())
    running = await begin(this, Wave(Mode(chunks=10, interval=0.2), STAYS), streams)
    away = service.log.with_suffix(".away")
    service.log.rename(away)
    for task in running[: streams // 3]:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await until(lambda: fake.calls("open") == 0, "a call lives on", TIMEOUT_SECONDS)
    away.rename(service.log)
    ready = await asyncio.to_thread(service.wait_ready)
    for caller in this.callers[streams // 3 :]:
        assert _error_code(caller) == "audit_unavailable", f"{caller.plan} ended in {caller.raw[-300:]!r}"
    for caller in this.callers:
        assert caller.receipt() is None, f"a receipt without a record: {caller.plan}"
        assert not any(end in caller.raw for end in ENDS), f"an end without a record: {caller.plan}"
    records = CutRecords(service.records())
    assert len(records.received) == len(records.open()) == streams
    await this.whole_stream()
    _check_log(service, records.open())
    seconds = time.monotonic() - started
    return Figures(streams, len(service.records()), seconds, 0, len(records.open()), 0, [ready])


async def _open_now(service: Service, number: int) -> set[int]:
    """The questions without a terminal record, once every disconnected caller has one."""
    with suppress(AssertionError):
        await until(lambda: len(CutRecords(service.records()).open()) == number, seconds=TIMEOUT_SECONDS)
    return CutRecords(service.records()).open()


def _check_log(service: Service, open_now: set[int]) -> None:
    """`audit verify` accepts the log and names the questions without a terminal record."""
    verdict = service.verify()
    assert (verdict["ok"], verdict["open"]["count"]) == (True, len(open_now)), verdict
    assert verdict["open"]["records"] == sorted(open_now)[: len(verdict["open"]["records"])], verdict
