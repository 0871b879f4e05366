"""The writer thread: one batch for all that waits, limited in size; refusals behind a failed write; probes; its end."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from app.audit.format.record import EMPTY, draft
from app.audit.storage import log_writer
from app.audit.storage.availability import Availability, Probe
from app.audit.storage.log_writer import Group, LogWriter, Outcome, Ticket
from app.audit.storage.store import AuditStore, Build
from app.errors import AuditUnavailable

from ....support.stored_log import STAMP
from ....support.waiting import until

PROBE_SECONDS = 0.05


class Store:
    """Keeps batches; fails or waits as it is told. `recover` is what a probe calls."""

    def __init__(self) -> None:
        self.end = EMPTY
        self.batches: list[list[dict[str, Any]]] = []
        self.error: Exception | None = None
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.appends = self.probes = 0

    def append(self, build: Build) -> None:
        self.appends += 1
        self._write(build)

    def recover(self, build: Build) -> None:
        self.probes += 1
        self._write(build)

    def _write(self, build: Build) -> None:
        assert self.may_go_on.wait(30)
        if self.error is not None:
            raise self.error
        batch = build(self.end, ())
        self.end = batch.end
        self.batches.append([json.loads(line) for line in batch.data.splitlines()])


class Desk:
    """A writer with what it reports to the event loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.outcomes: list[Outcome] = []
        self.resumed: list[Probe] = []
        self.availability = Availability(lambda event, detail: None)
        as_store: AuditStore = store  # type: ignore[assignment]  # a part of one
        self.writer = LogWriter(as_store, lambda: STAMP, self.availability, self.outcomes.append, self.resumed.append)

    def group(self, *numbers: int, text: str = "") -> Group:
        loop = asyncio.get_running_loop()
        tickets = [Ticket(draft("log.alive", None, {"n": n, "text": text}), loop.create_future()) for n in numbers]
        return Group(tickets, time.monotonic())

    def written(self) -> list[list[int]]:
        return [[one["details"]["n"] for one in batch] for batch in self.store.batches]


@pytest.fixture
def desk() -> Desk:
    return Desk(Store())


@pytest.fixture(autouse=True)
def probes_are_frequent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(log_writer, "PROBE_SECONDS", PROBE_SECONDS)
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "audit"] == []


def run(desk: Desk, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            desk.writer.start(asyncio.get_running_loop())
            try:
                await work()
            finally:
                desk.store.may_go_on.set()
                desk.writer.stop()
                assert await asyncio.to_thread(desk.writer.join, 30)

    asyncio.run(main())


def test_groups_that_arrive_while_the_disk_is_busy_are_one_batch(desk: Desk) -> None:
    async def work() -> None:
        desk.store.may_go_on.clear()
        groups = [desk.group(1), desk.group(2, 3), desk.group(4)]
        desk.writer.hand_in(groups[0])
        await until(lambda: desk.writer._inbox.empty())
        for group in groups[1:]:
            desk.writer.hand_in(group)
        desk.store.may_go_on.set()
        await until(lambda: len(desk.outcomes) == 2)
        assert desk.written() == [[1], [2, 3, 4]]
        assert [outcome.groups for outcome in desk.outcomes] == [groups[:1], groups[1:]]
        assert [one.seq for outcome in desk.outcomes for one in outcome.receipts] == [0, 1, 2, 3]
        assert [outcome.error for outcome in desk.outcomes] == [None, None]

    run(desk, work)


def test_after_a_batch_of_many_the_next_one_waits_for_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    waits, may_end = list[float](), threading.Event()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        assert may_end.wait(30)

    monkeypatch.setattr(log_writer, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: 7.0))

    async def work() -> None:
        desk.writer.hand_in(desk.group(*range(log_writer.MANY_RECORDS)))
        await until(lambda: len(desk.outcomes) == 1)
        desk.writer.hand_in(desk.group(10))
        await until(lambda: bool(waits))
        desk.writer.hand_in(desk.group(11))
        may_end.set()
        await until(lambda: len(desk.outcomes) == 2)
        desk.writer.hand_in(desk.group(12))
        await until(lambda: len(desk.outcomes) == 3)
        assert desk.written()[1:] == [[10, 11], [12]]
        assert waits == [pytest.approx(log_writer.GATHER_SECONDS)], "few records do not wait for others"

    run(desk, work)


def test_a_batch_is_limited_in_size_but_a_group_is_never_divided(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MAX_BATCH_BYTES", 2500)

    async def work() -> None:
        desk.store.may_go_on.clear()
        desk.writer.hand_in(desk.group(0))
        await until(lambda: desk.writer._inbox.empty())
        for numbers in ((1,), (2,), (3, 4, 5, 6), (7,)):
            desk.writer.hand_in(desk.group(*numbers, text="x" * 1000))
        desk.store.may_go_on.set()
        await until(lambda: len(desk.outcomes) == 4)
        assert desk.written() == [[0], [1, 2], [3, 4, 5, 6], [7]]

    run(desk, work)


def test_a_caller_who_left_before_the_write_has_no_record(desk: Desk) -> None:
    async def work() -> None:
        group, left = desk.group(1, 2, 3), desk.group(4)
        group.tickets[1].receipt.cancel()
        left.tickets[0].receipt.cancel()
        desk.writer.hand_in(group)
        await until(lambda: len(desk.outcomes) == 1)
        assert desk.written() == [[1, 3]]
        assert desk.outcomes[0].tickets == [group.tickets[0], group.tickets[2]]
        desk.writer.hand_in(left)
        await until(lambda: len(desk.outcomes) == 2)
        assert (desk.outcomes[1].receipts, desk.outcomes[1].error, len(desk.store.batches)) == ([], None, 1)

    run(desk, work)


def test_after_a_failed_write_all_are_refused_until_a_probe_succeeds(desk: Desk) -> None:
    async def work() -> None:
        desk.store.error = error = AuditUnavailable("full")
        desk.writer.hand_in(desk.group(1))
        await until(lambda: desk.store.probes > 0)
        desk.writer.hand_in(desk.group(2))  # the disk is not asked again for it
        await until(lambda: len(desk.outcomes) == 2)
        assert [outcome.error for outcome in desk.outcomes] == [error, error]
        assert desk.store.appends == 1
        desk.store.error = None
        await until(lambda: bool(desk.resumed))
        desk.writer.hand_in(desk.group(3))
        await until(lambda: len(desk.outcomes) == 3)
        assert desk.outcomes[2].error is None
        (resumed,), (three,) = desk.store.batches
        assert (resumed["action"], resumed["details"]) == ("log.resumed", {"refused": 0, "seconds": 0.0})
        assert three["details"]["n"] == 3

    run(desk, work)


def test_a_log_that_the_event_loop_closed_is_probed_once_it_is_woken(desk: Desk) -> None:
    async def work() -> None:
        await asyncio.sleep(3 * PROBE_SECONDS)
        assert desk.store.probes == 0  # open: nothing to probe
        desk.availability.close("timed out")
        desk.availability.refusal()
        desk.writer.wake()
        await until(lambda: bool(desk.resumed))
        assert desk.resumed[0] == Probe(refused=1, closings=1)
        assert desk.store.batches[0][0]["details"]["refused"] == 1
        desk.availability.reopen(desk.resumed[0])

    run(desk, work)


def test_a_closing_is_ended_once_although_the_event_loop_learns_it_late(desk: Desk) -> None:
    async def work() -> None:
        desk.availability.close("timed out")
        desk.writer.wake()
        await until(lambda: bool(desk.resumed))
        await asyncio.sleep(5 * PROBE_SECONDS)
        assert desk.store.probes == 1
        desk.availability.reopen(desk.resumed[0])
        desk.availability.close("again")
        desk.writer.wake()
        await until(lambda: len(desk.resumed) == 2)
        assert [one[0]["action"] for one in desk.store.batches] == ["log.resumed"] * 2

    run(desk, work)


def test_an_unexpected_error_refuses_and_is_logged_and_the_thread_lives(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        desk.store.error = KeyError("the store broke")
        desk.writer.hand_in(desk.group(1))
        await until(lambda: len(desk.outcomes) == 1)
        assert isinstance(desk.outcomes[0].error, AuditUnavailable)
        assert "the store broke" in caplog.text
        desk.store.error = None
        await until(lambda: bool(desk.resumed))

    run(desk, work)


def test_what_was_handed_in_is_written_before_the_thread_ends(desk: Desk) -> None:
    async def work() -> None:
        desk.writer.hand_in(desk.group(1))
        desk.writer.hand_in(desk.group(2))

    run(desk, work)
    assert [number for batch in desk.written() for number in batch] == [1, 2]


def test_a_hanging_write_is_reported_and_its_late_outcome_does_no_harm(desk: Desk) -> None:
    async def work() -> None:
        desk.store.may_go_on.clear()
        desk.writer.start(asyncio.get_running_loop())
        desk.writer.hand_in(desk.group(1))
        desk.writer.stop()
        assert not await asyncio.to_thread(desk.writer.join, 0.05)

    asyncio.run(work())
    desk.store.may_go_on.set()  # the event loop is closed by now
    assert desk.writer.join(30)
    assert desk.written() == [[1]]
