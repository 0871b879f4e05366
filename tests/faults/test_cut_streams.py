"""Streams that are cut, stopped or killed: the short versions of `python -m tests.faults cuts`, and tests inside the process."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from app.assistant.models import Origin, Question, Served
from app.audit.format.record import Receipt
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.store import Build
from app.kit.event_stream import Event
from app.security.models import Principal
from app.security.roles import ASK
from app.settings import load_settings
from app.upstream.call import PreparedCall
from app.upstream.completion import Completion
from app.upstream.embedded import EmbeddedAddress
from app.upstream.protocol.stream_reader import StreamReader
from app.wiring.catalogue import read_catalogue
from app.wiring.services import open_services

from ..support.fake_modes import Mode
from ..support.fake_openai import FakeOpenAI
from ..support.inside import Inside
from ..support.service import Service
from ..support.waiting import eventually, until
from . import cuts, stopped_streams
from .cut_client import Caller
from .cut_records import CutRecords
from .cuts import Round, Wave

MODEL, PLACES = "small-1", 8
STALL = Wave(Mode("stall:3"), 30.0)
LONG = Wave(Mode(chunks=600, interval=0.05), 30.0)


@pytest.mark.parametrize(("workers", "buffered"), [(1, False), (2, True)])
def test_a_stream_whose_caller_leaves_has_one_end_that_says_what_was_sent(tmp_path: Path, workers: int, buffered: bool) -> None:
    figures = cuts.cut(tmp_path, streams=60, workers=workers, wave=12, buffered=buffered, bounded=False)
    assert figures.answers == 60


def test_only_questions_of_a_killed_worker_have_no_terminal_record(tmp_path: Path) -> None:
    figures = stopped_streams.kill(tmp_path, workers=2, rounds=2, streams=6)
    assert figures.left_open == figures.broken


@pytest.fixture
def inside(tmp_path: Path, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> Inside:
    """At most PLACES streams of one principal at a time; a stop gives them one second."""
    monkeypatch.chdir(tmp_path)
    return Inside(Service(tmp_path), EmbeddedAddress(upstream.base_url, "no-key", MODEL, max_waiting=2 * PLACES))


def test_cut_streams_give_their_places_back_and_leave_no_task_behind(inside: Inside, upstream: FakeOpenAI) -> None:
    """Three times all places are taken and all callers leave: none is refused, and no task remains."""

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
        await until(lambda: upstream.calls("open") == 0)
        return this.callers

    callers: list[Caller] = []
    with inside:
        token = inside.service.token("alice", inside.service.add_client())
        before = count()
        for prefix in ("first", "second", "third"):
            callers += asyncio.run(fill(prefix))
            eventually(lambda: count() <= before)
        records = CutRecords(inside.service.records())
    assert {records.check(one)[0] for one in callers} == {"client gone"}
    assert not records.refused


# --- the service stops ---------------------------------------------------------------------------------


def test_streams_that_outlast_a_stop_end_as_interrupted(inside: Inside, upstream: FakeOpenAI) -> None:
    async def until_stopped() -> list[Caller]:
        this = Round(inside.service, upstream, token, random.Random(), model=MODEL)
        running = await stopped_streams.begin(this, LONG, 6)
        inside.server.should_exit = True
        await asyncio.gather(*running)
        return this.callers

    with inside:
        token = inside.service.token("alice", inside.service.add_client())
        callers = asyncio.run(until_stopped())
    records = CutRecords(inside.service.records())
    assert {stopped_streams.check_stopped(one, records) for one in callers} == {"interrupted"}


def test_a_stop_while_records_are_on_their_way_leaves_no_question_open(
    inside: Inside, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The disk hangs during the grace period: the first record of one stream and the last of two are not written yet."""
    append, disk = JsonlStore.append, threading.Event()

    def wait_for_disk(self: JsonlStore, build: Build) -> None:
        disk.wait()
        append(self, build)

    def waiting() -> int:
        return sum(len(group.tickets) for group in inside.app.state.context.services.audit._commits._unresolved)

    async def until_stopped() -> list[Caller]:
        this = Round(inside.service, upstream, token, random.Random(), model=MODEL)
        running = await stopped_streams.begin(this, LONG, 2)
        running += await stopped_streams.begin(this, Wave(Mode(chunks=4, interval=0.2), 30.0), 1)
        disk.clear()
        running[0].cancel()  # client_gone
        running.append(asyncio.create_task(this.new_callers(LONG, 1, "at any time", 30.0)[0].run(this.service.port, token, 0)))
        await until(lambda: waiting() == 3)
        inside.server.should_exit = True
        await until(lambda: "running task(s)" in caplog.text)  # the tasks are cancelled
        disk.set()
        await asyncio.gather(*running, return_exceptions=True)
        return this.callers

    disk.set()
    with inside:
        token = inside.service.token("alice", inside.service.add_client())
        monkeypatch.setattr(JsonlStore, "append", wait_for_disk)
        try:
            callers = asyncio.run(until_stopped())
        finally:
            disk.set()
    records = CutRecords(inside.service.records())
    assert len(records.received) == len(callers) == 4
    assert records.open() == set()
    assert not records.refused


def test_a_caller_who_disconnects_as_the_answer_ends_has_a_record(
    tmp_path: Path, upstream: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    service = Service(tmp_path)

    async def disconnect_at_the_end() -> None:
        settings = load_settings(secret_key=service.secret_key)
        async with open_services(
            settings, read_catalogue(settings), EmbeddedAddress(upstream.base_url, "no-key", MODEL, max_waiting=1)
        ) as services:
            principal = Principal("alice", (ASK,), "alice", "0" * 32, 2**40)
            call = services.assistant.prepare_ask(Question("hi", Origin("0" * 32)), principal, stream=True)
            sink = DisconnectedAtTheEnd()
            await services.assistant.stream(principal, call, Origin("0" * 32), sink, sink.disconnected)

    asyncio.run(disconnect_at_the_end())
    assert [one["action"] for one in service.records()][-2:] == ["ask.received", "ask.answered"]


class DisconnectedAtTheEnd:
    """A sink whose caller disconnects as soon as the end of the answer has been read."""

    def __init__(self) -> None:
        self.disconnected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def name(self, received: Receipt) -> None: ...

    def answered(self, call: PreparedCall, served: Served) -> None: ...

    async def begin(self) -> None: ...

    async def keep_alive(self) -> None: ...

    def encode(self, events: Sequence[Event], text: str) -> bytes:
        if not self.disconnected.done():
            self.disconnected.set_result(None)
        return text.encode()

    async def write(self, data: bytes) -> None: ...

    async def end(self, reader: StreamReader, completion: Completion, receipt: Receipt) -> None: ...
