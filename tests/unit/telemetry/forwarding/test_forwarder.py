"""Each durable record reaches the receiver at least once and in order, whatever the receiver and the process do."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from app.admin.export_records import line_of
from app.errors import ConfigError
from app.telemetry.forwarding import forwarder
from app.telemetry.forwarding.cursor import CursorFile
from app.telemetry.forwarding.event import Event, NotDelivered
from app.telemetry.forwarding.forwarder import Forwarder
from app.telemetry.siem.ocsf import Chain

from ....support.logged import TIME, lines


class Log:
    """A Source whose last *undurable* bytes a crash may take back."""

    def __init__(self, count: int = 20) -> None:
        self.data, self.undurable, self.read = b"".join(lines(*["log.alive"] * count)), 0, list[tuple[int, int]]()

    def durable_size(self) -> int:
        return len(self.data) - self.undurable

    def lines(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        self.read.append((start, end or 0))
        yield from self.data[start:end].splitlines(keepends=True)


class Receiver:
    """A Sender. *faults*: how the next sends end, in order: before anything is taken, or after."""

    def __init__(self, *faults: str) -> None:
        self.faults, self.got, self.sizes = list(faults), list[int](), list[int]()

    def send(self, events: Sequence[Event]) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        self.sizes.append(len(events))
        if fault == "too large":
            raise NotDelivered("413", is_too_large=True)
        if fault != "before":
            self.got += [event.record.seq for event in events]
        if fault == "killed":
            raise KeyboardInterrupt
        if fault:
            raise NotDelivered("cut", retry_after=0)

    def close(self) -> None: ...


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(forwarder, "POLL_SECONDS", 0.0)


def forward(log: Log, receiver: Receiver, path: Path) -> int:
    with CursorFile(path) as cursor:
        one = Forwarder(log, receiver, cursor, lambda record: record.line)
        one.run(threading.Event(), until_end=True)
        return one.delivered


def test_all_are_delivered_once_in_order_and_only_new_ones_later(tmp_path: Path) -> None:
    log, receiver = Log(20), Receiver()
    assert forward(log, receiver, tmp_path / "c") == 20
    assert receiver.got == list(range(20))
    assert forward(log, receiver, tmp_path / "c") == 0
    assert receiver.got == list(range(20))


def test_what_is_not_durable_is_not_sent(tmp_path: Path) -> None:
    log, receiver = Log(3), Receiver()
    log.undurable = 10
    forward(log, receiver, tmp_path / "c")
    assert receiver.got == [0, 1]
    log.undurable = 0
    forward(log, receiver, tmp_path / "c")
    assert receiver.got == [0, 1, 2]


def test_memory_is_bounded_by_a_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "MOST_RECORDS", 7)
    receiver = Receiver()
    forward(Log(20), receiver, tmp_path / "c")
    assert receiver.sizes == [7, 7, 6]
    monkeypatch.setattr(forwarder, "MOST_BYTES", 1)
    receiver = Receiver()
    forward(Log(3), receiver, tmp_path / "d")
    assert receiver.sizes == [1, 1, 1]


def test_a_batch_that_is_too_large_is_halved(tmp_path: Path) -> None:
    receiver = Receiver("too large", "too large")
    forward(Log(20), receiver, tmp_path / "c")
    assert receiver.sizes == [20, 10, 5, 10, 5]
    assert receiver.got == list(range(20))


def test_nothing_is_lost_however_often_it_fails_or_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "MOST_RECORDS", 3)
    chance, log = random.Random(1), Log(60)
    receiver = Receiver(*chance.choices(["", "before", "after", "killed"], k=200))
    for _ in range(200):
        try:
            forward(log, receiver, tmp_path / "c")
            break
        except KeyboardInterrupt:
            continue
    first = list(dict.fromkeys(receiver.got))
    assert first == list(range(60)), "each at least once, the first time in order"


def test_a_log_that_was_replaced_is_refused(tmp_path: Path) -> None:
    forward(Log(5), Receiver(), tmp_path / "c")
    receiver = Receiver()
    for other in (Log(5), Log(2)):  # with other random ids; cut
        with pytest.raises(ConfigError, match="The log is not the one of which"):
            forward(other, receiver, tmp_path / "c")
    assert receiver.got == []


def test_a_line_that_is_no_record_is_reported_and_passed_by(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log, receiver = Log(2), Receiver()
    first, second = log.data.splitlines(keepends=True)
    log.data = first + b"garbage\n" + second
    forward(log, receiver, tmp_path / "c")
    assert receiver.got == [0, 1]
    assert "begins a line that is no record" in caplog.text


def test_it_ends_when_it_is_told_to(tmp_path: Path) -> None:
    stop, receiver = threading.Event(), Receiver(*["before"] * 5)
    with CursorFile(tmp_path / "c") as cursor:
        one = Forwarder(Log(5), receiver, cursor, lambda record: record.line)
        thread = threading.Thread(target=one.run, args=(stop,))
        thread.start()
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def test_the_cursor_is_moved_only_after_the_receiver_has_confirmed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        forward(Log(5), Receiver("killed"), tmp_path / "c")
    with CursorFile(tmp_path / "c") as cursor:
        assert cursor.read() is None


def test_a_record_that_was_tampered_with_holds_up_no_other(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log, receiver = Log(3), Receiver()
    one, two, three = log.data.splitlines(keepends=True)
    log.data = one + two.replace(TIME[:10].encode(), b"2026-99-99") + three
    with CursorFile(tmp_path / "cursor") as cursor:
        Forwarder(log, receiver, cursor, partial(line_of, "ocsf", chain=Chain("x"))).run(threading.Event(), until_end=True)
    assert (receiver.got, "is no record" in caplog.text) == ([0, 2], True)
