"""Streams whose callers disconnect in the middle: each has one terminal record and leaves no resources behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, repeat
from pathlib import Path
from typing import Any

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore

from ..support.checked import chain_report
from ..support.fake_answers import Reply
from ..support.fake_modes import Mode
from ..support.fake_openai import FakeOpenAI, completion_text
from ..support.service import Service
from ..support.waiting import until
from .crash import upstream
from .cut_client import ENDPOINTS, Caller, Plan, stream_body
from .cut_records import CutRecords, moment_of
from .figures import Figures
from .footprint import Footprint

SECONDS_AFTER = 1.5
"""An upstream call may outlive its caller by one second; the rest allows for a busy machine."""
GROWTH_MB = {"wave": 3.0, "large wave": 8.0}
"""Of one worker, from the first wave of a kind to the least of the LAST: a connection that is just being closed is none. Large
waves need some until they are warm: after some 200 streams it grows no more, seen with 700."""
POOL = min(32, (os.cpu_count() or 1) + 4)
"""Threads of asyncio's pool, which grows to this for blocking work, whatever the callers do."""
LAST = 3
TIMEOUT_SECONDS = 20.0
PACE = {"LLM_TIMEOUT_SECONDS": "10", "STREAM_KEEPALIVE_SECONDS": "0.3"}
NO_HOARD = {"MALLOC_MMAP_THRESHOLD_": "65536"}
"""glibc gives a freed block of that size back at once, so that the memory that is there is memory that is held."""


@dataclass(frozen=True)
class Wave:
    """Callers of one kind of answer. Each leaves at most *longest* seconds after it connected."""

    mode: Mode
    longest: float
    endpoints: tuple[str, ...] = ENDPOINTS

    def set(self, fake: FakeOpenAI) -> None:
        mode = self.mode
        fake.set(
            mode.mode,
            delay=mode.delay,
            chunks=mode.chunks,
            interval=mode.interval,
            first=mode.first,
            **({"script": mode.script} if mode.script else {}),
        )

    def text(self, query: str) -> str:
        """The complete answer to *query*, as far as the upstream sends it."""
        if self.mode.script:
            return "".join(LARGE)
        whole = completion_text(query, self.mode.wanted_chunks)
        if self.mode.kind == "hang":
            return ""
        return "".join(Reply(whole).pieces(self.mode.wanted_chunks)[: self.mode.number])


def _chunk(text: str, finish: str | None = None) -> str:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'large', 'model': 'large-1', 'choices': [choice]})}\n\n"


LARGE = [f"{number:06}" + "x" * 150_000 for number in range(40)]
SCRIPT = [*map(_chunk, LARGE), _chunk("", "stop"), "data: [DONE]\n\n"]
WAVES = (
    Wave(Mode(chunks=12, interval=0.04, first=0.1), 0.9),
    Wave(Mode("stall:6", interval=0.02, first=0.05), 0.8),
    Wave(Mode(chunks=200), 0.5),
    Wave(Mode("hang"), 0.6),
    Wave(Mode(chunks=6, interval=0.05, delay=0.2, first=0.2), 0.9),
)
"""Single pieces, a server that falls silent, all at once, one that never begins, a slow one."""
LARGE_WAVE = Wave(Mode(script=SCRIPT), 0.6, ("/v1/chat/completions", "/ask"))
"""Answers larger than the socket buffers."""


@dataclass
class Lag:
    """How many seconds upstream calls and missing records outlived their caller."""

    calls: float = 0.0
    records: float = 0.0

    def sample(self, since: float, open_calls: int, callers: list[Caller]) -> None:
        """*open_calls* were open at *since*. Calls beyond the callers then connected belong to the last who left before."""
        there = sum(1 for one in callers if one.asked and (not one.left or one.left >= since))
        left = sorted((one.left for one in callers if one.left and one.left < since), reverse=True)
        if open_calls > there and left:
            self.calls = max(self.calls, since - left[min(open_calls - there, len(left)) - 1])


@dataclass
class Round:
    """One service whose streams are cut."""

    service: Service
    fake: FakeOpenAI
    token: str
    chance: random.Random
    model: str = "gpt-4o-mini"
    prefix: str = "cut"
    """Prefix of the names of its questions."""
    lag: Lag = field(default_factory=Lag)
    outcomes: Counter[str] = field(default_factory=Counter)
    callers: list[Caller] = field(default_factory=list)

    async def wave(self, wave: Wave, number: int) -> None:
        wave.set(self.fake)
        callers = self.new_callers(wave, number)
        spread = [self.chance.uniform(0, wave.longest) for _ in callers]
        running = asyncio.gather(
            *(one.run(self.service.port, self.token, after) for one, after in zip(callers, spread, strict=True))
        )
        await self._until_nothing_is_open(running, callers)
        await running
        self.outcomes += await self._check(callers)

    def new_callers(self, wave: Wave, number: int, moment: str | None = None, stays: float | None = None) -> list[Caller]:
        """*moment* and *stays* (seconds) are drawn if not given."""
        callers = []
        for place in range(len(self.callers), len(self.callers) + number):
            plan = Plan.draw(f"{self.prefix}-{place}", wave.endpoints, wave.longest, self.chance)
            plan = replace(plan, moment=moment or plan.moment, longest=stays or plan.longest)
            callers.append(Caller(plan, wave.text(plan.name), stream_body(plan.endpoint, plan.name, self.model)))
        self.callers += callers
        return callers

    async def _until_nothing_is_open(self, running: asyncio.Future[list[None]], callers: list[Caller]) -> None:
        deadline = time.monotonic() + 60
        while True:
            was_running, since = not running.done(), time.monotonic()
            open_calls = await asyncio.to_thread(self.fake.calls, "open")
            self.lag.sample(since, open_calls, callers)
            if not (was_running or open_calls):
                return
            assert time.monotonic() < deadline, f"{open_calls} calls are open although all callers have left"
            await asyncio.sleep(0.01)

    async def _check(self, callers: list[Caller]) -> Counter[str]:
        """How many streams ended in which way."""
        with suppress(AssertionError):  # the check below names the caller
            names = {one.plan.name for one in callers}
            await until(lambda: not CutRecords(self.service.records()).open(names), seconds=TIMEOUT_SECONDS)
        records, outcomes = CutRecords(self.service.records()), Counter[str]()
        for one in callers:
            how, last = records.check(one)
            outcomes[how] += 1
            if last is not None and how != "answered":
                self.lag.records = max(self.lag.records, moment_of(last) - one.left_at)
        return outcomes

    async def whole_stream(self) -> None:
        """A caller that stays gets the whole answer."""
        wave = WAVES[0]
        wave.set(self.fake)
        (caller,) = self.new_callers(wave, 1, "at the end marker", TIMEOUT_SECONDS)
        await caller.run(self.service.port, self.token, 0)
        assert caller.words() == caller.text, f"{caller.plan}: {caller.raw!r}"
        await self._check([caller])


def cut(
    folder: Path,
    *,
    streams: int,
    workers: int,
    wave: int = 50,
    buffered: bool = False,
    seed: int | None = None,
    bounded: bool = True,
) -> Figures:
    """Run *streams* in waves of *wave*; the last have large answers, in waves a third as large.

    *bounded*: check SECONDS_AFTER and GROWTH_MB, which needs two waves of each kind.
    """
    seed = random.randrange(10**9) if seed is None else seed
    env = {**PACE, **NO_HOARD, "AUDIT_STREAM": "buffer" if buffered else "live"}
    with FakeOpenAI(keep_digests=True) as fake, Service(folder, workers=workers, **upstream(fake), **env) as service:
        try:
            return asyncio.run(_cut(service, fake, streams, wave, seed, bounded))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


async def _cut(service: Service, fake: FakeOpenAI, streams: int, wave: int, seed: int, bounded: bool) -> Figures:
    token, started = service.token("alice", service.add_client("alice")), time.monotonic()
    this = Round(service, fake, token, random.Random(seed))
    await this.whole_stream()
    at_first, prints = Footprint.largest(service.worker_pids()), list[list[Footprint]]()
    for share, kinds, number in ((0.85, cycle(WAVES), wave), (1.0, repeat(LARGE_WAVE), wave // 3)):
        prints.append([])
        while (left := int(share * streams) - this.outcomes.total()) > 0:
            await this.wave(next(kinds), min(number, left))
            prints[-1].append(Footprint.largest(service.worker_pids()))
    await this.whole_stream()
    records = service.records()
    _check_calls(fake, records)
    assert chain_report(AuditLog(JsonlStore(service.log))).ok
    verdict = await asyncio.to_thread(service.verify)
    assert (verdict["ok"], verdict["open"]["count"]) == (True, 0), verdict
    remarks = [f"{number:,} {how}" for how, number in this.outcomes.most_common()]
    remarks.append(f"a call outlived its caller by {this.lag.calls:.2f} s at most; a record came {this.lag.records:.2f} s after")
    if bounded:
        remarks += await _check_left_behind(service, this.lag, at_first, prints)
    remarks.append(f"seed {seed}")
    return Figures(this.outcomes.total(), len(records), time.monotonic() - started, remarks=remarks)


async def _check_left_behind(service: Service, lag: Lag, at_first: Footprint, prints: list[list[Footprint]]) -> list[str]:
    """Once idle upstream connections are closed, after some seconds, there are no more descriptors than before."""
    assert lag.calls < SECONDS_AFTER, f"a call outlived its caller by {lag.calls:.2f} s"
    assert lag.records < SECONDS_AFTER, f"a record came {lag.records:.2f} s after its caller had left"
    lines = []
    for what, (first, *others) in zip(GROWTH_MB, prints, strict=True):
        last = min((others or [first])[-LAST:], key=lambda one: one.rss_mb)  # few rounds are one wave
        lines.append(f"after {what} 1 {first}; after the last {last}")
        assert last.grown_since(first) < GROWTH_MB[what], f"memory grew by {last.grown_since(first):.1f} MB: {lines[-1]}"
    now = partial(Footprint.largest, service.worker_pids())
    with suppress(AssertionError):
        await until(lambda: now().descriptors <= at_first.descriptors)
    end = now()
    assert end.descriptors <= at_first.descriptors, f"before the first wave {at_first}; at rest {end}"
    assert end.threads <= prints[0][0].threads + POOL, f"{lines[0]}; at rest {end}"
    return [
        *lines,
        f"at rest {end.descriptors} descriptors (before the first wave {at_first.descriptors}), {end.threads} threads",
    ]


def _check_calls(fake: FakeOpenAI, records: list[dict[str, Any]]) -> None:
    """Every body that the upstream got has its own `ask.received`."""
    recorded = Counter[str]()
    for one in records:
        if one["action"] == "ask.received":
            recorded[one["details"]["upstream_sha256"]] += 1
    unrecorded = Counter(fake.seen()["sha256"]) - recorded
    assert not unrecorded, f"{unrecorded.total()} calls without a record"
