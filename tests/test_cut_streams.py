"""Streams that are cut, stopped or killed: the short versions of `python -m tests.torture cuts`, and what needs a look inside."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.assistant.models import Endpoint
from app.security.audit.jsonl import JsonlStore
from app.security.audit.store import Build

from .calls import eventually
from .fake_modes import Mode
from .fake_openai import FakeOpenAI
from .service import Service
from .test_every_way_out import Inside
from .torture import cuts, stopped_streams
from .torture.cut_client import Caller
from .torture.cut_records import CutRecords
from .torture.cuts import Round, Wave

MODEL, PLACES = "small-1", 8
STALL = Wave(Mode("stall:3"), 30.0)
LONG = Wave(Mode(chunks=600, interval=0.05), 30.0)
SLOW_DISK_SECONDS = 0.2


@pytest.fixture
def upstream(fake: FakeOpenAI) -> Iterator[FakeOpenAI]:
    fake.reset()
    yield fake
    fake.reset()


@pytest.mark.parametrize(("workers", "buffered"), [(1, False), (2, False), (1, True)])
def test_streams_whose_callers_leave_have_one_end_each_that_tells_what_got_through(
    tmp_path: Path, workers: int, buffered: bool
) -> None:
    figures = cuts.cut(tmp_path, streams=60, workers=workers, wave=12, buffered=buffered, bounded=False)
    assert figures.answers == 60


def test_what_a_killed_worker_had_in_flight_stands_open_and_nothing_else(tmp_path: Path) -> None:
    figures = stopped_streams.kill(tmp_path, workers=2, rounds=2, streams=6)
    assert figures.left_open == figures.broken


@pytest.fixture
def inside(tmp_path: Path, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """So many streams at a time as there are PLACES; a stop gives them a second."""
    monkeypatch.chdir(tmp_path)
    return Inside(Service(tmp_path), Endpoint(upstream.base_url, "no-key", MODEL, max_waiting=PLACES))


def test_cut_streams_give_their_places_back_and_leave_no_task_behind(inside: Inside, upstream: FakeOpenAI) -> None:
    """Three times all places are taken, and all callers leave: nobody is refused, and the loop has no more to do than before."""

    @inside.app.get("/tasks")
    async def tasks() -> int:
        return len(asyncio.all_tasks())

    def count() -> int:
        return int(httpx.get(inside.service.url + "/tasks").text)

    async def fill(prefix: str) -> list[Caller]:
        this = Round(inside.service, upstream, token, random.Random(), model=MODEL, prefix=prefix)
        running = await stopped_streams.begin(this, STALL, PLACES)
        assert upstream.calls("open") == PLACES
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await cuts.until(lambda: upstream.calls("open") == 0)
        return this.callers

    with inside:
        token = inside.service.token("alice", inside.service.add_client())
        before = count()
        callers = [caller for prefix in ("first", "second", "third") for caller in asyncio.run(fill(prefix))]
        eventually(lambda: not CutRecords(inside.service.records()).open())
        eventually(lambda: count() <= before)
        records = CutRecords(inside.service.records())
        assert {records.check(one)[0] for one in callers} == {"client gone"}
        assert not records.refused


def test_streams_that_outstay_a_stop_say_that_they_were_interrupted(
    inside: Inside, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they were doing when the grace ran out, and however slow the disk: each has its record."""
    append = JsonlStore.append

    def slowly(self: JsonlStore, build: Build) -> None:
        time.sleep(SLOW_DISK_SECONDS)
        append(self, build)

    async def until_stopped() -> list[Caller]:
        this = Round(inside.service, upstream, token, random.Random(), model=MODEL)
        running = await stopped_streams.begin(this, LONG, 3)
        running += await stopped_streams.begin(this, Wave(Mode(chunks=10, interval=0.12), 30.0), 5)
        inside.server.should_exit = True
        await asyncio.gather(*running)
        return this.callers

    with inside:
        token = inside.service.token("alice", inside.service.add_client())
        monkeypatch.setattr(JsonlStore, "append", slowly)
        callers = asyncio.run(until_stopped())
    records = CutRecords(inside.service.records())
    ends = [stopped_streams.check_stopped(one, records) for one in callers]
    assert ends[:3] == ["interrupted"] * 3
    assert inside.service.verify()["open"]["count"] == 0
