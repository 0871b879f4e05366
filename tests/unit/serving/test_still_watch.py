"""A child that stands still is found, one at a time; one that is busy, loads, stops, or is watched too late is left alone."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from app.serving import still_watch as module
from app.serving.child import Child, ReadyFlag
from app.serving.still_watch import (
    BUSY,
    BUSY_SECONDS,
    LATE_SECONDS,
    STILL_SECONDS,
    STOPPED,
    STOPPED_SECONDS,
    StillWatch,
    cpu_seconds,
)

from ...support.waiting import eventually

STEP = LATE_SECONDS / 2


@dataclass
class Beat:
    beaten_at: float = 0.0
    stood: list[tuple[int, float]] = field(default_factory=list)

    def clear(self) -> None:
        self.beaten_at = 0.0

    def note_stood(self, pid: int, seconds: float) -> None:
        self.stood.append((pid, seconds))


class Room:
    """Children with pids 1, 2, …; a clock; and what each process has used of the CPU."""

    def __init__(self, children: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.used, self.state = 1000.0, dict.fromkeys(range(1, children + 1), 0.0), "S"
        self.beats = [Beat() for _ in range(children)]
        self.flags = [ReadyFlag() for _ in range(children)]
        self.children = {f"worker {n}": self._child(n) for n in range(1, children + 1)}
        monkeypatch.setattr(module, "cpu_seconds", lambda pid: (self.state, self.used[pid]))
        self.watch = StillWatch(lambda: self.now)

    def _child(self, number: int) -> Child:
        child = Child(lambda: number, last=False, ready=self.flags[number - 1], pulse=self.beats[number - 1])
        child.run()
        self.flags[number - 1].set()
        return child

    def go(self, seconds: float, *moving: int, busy: tuple[int, ...] = ()) -> str | None:
        """The first name that is found while the children *moving* beat and those *busy* use the CPU."""
        end = self.now + seconds
        while self.now < end:
            self.now += STEP
            for number in moving:
                self.beats[number - 1].beaten_at = self.now
            for number in busy:
                self.used[number] += STEP / 2
            found = self.watch.look(self.children)
            if found is not None:
                return found[0]
        return None


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Room]:
    return lambda children: Room(children, monkeypatch)


def test_a_child_that_moves_is_left_alone(room: Callable[[int], Room]) -> None:
    assert room(2).go(100, 1, 2) is None


def test_a_child_that_stands_still_is_found(room: Callable[[int], Room]) -> None:
    two = room(2)
    two.go(1, 1, 2)
    assert two.go(STILL_SECONDS - STEP, 1) is None
    assert two.go(3 * STEP, 1) == "worker 2"


def test_a_child_that_never_moved_is_loading(room: Callable[[int], Room]) -> None:
    assert room(1).go(100) is None


def test_a_child_that_stops_is_left_alone(room: Callable[[int], Room]) -> None:
    one = room(1)
    one.go(1, 1)
    one.beats[0].clear()
    assert one.go(100) is None


def test_a_busy_child_is_left_alone_but_not_for_ever(room: Callable[[int], Room]) -> None:
    one = room(1)
    one.go(1, 1)
    assert one.go(BUSY_SECONDS - 2 * STEP, busy=(1,)) is None
    assert one.go(STILL_SECONDS, busy=(1,)) == "worker 1"


@pytest.mark.parametrize("state", BUSY)
def test_a_child_that_waits_for_a_core_or_is_traced_is_left_alone(room: Callable[[int], Room], state: str) -> None:
    one = room(1)
    one.go(1, 1)
    one.state = state
    assert one.go(BUSY_SECONDS / 2) is None
    one.state = "S"
    assert one.go(STILL_SECONDS) == "worker 1"


def test_a_child_that_a_signal_stopped_is_found_sooner(room: Callable[[int], Room]) -> None:
    one = room(1)
    one.go(1, 1)
    one.state = STOPPED
    assert one.go(STOPPED_SECONDS - STEP) is None
    assert one.go(2 * STEP) == "worker 1"


def test_children_get_their_whole_time_after_the_watcher_itself_was_late(room: Callable[[int], Room]) -> None:
    """The machine was suspended: all stood still together."""
    two = room(2)
    two.go(1, 1, 2)
    two.now += 3600
    assert two.watch.look(two.children) is None
    assert two.go(STILL_SECONDS - 2 * STEP) is None
    assert two.go(10, 1, 2) is None


def test_the_next_child_is_found_only_after_the_first_has_a_successor(room: Callable[[int], Room]) -> None:
    two = room(2)
    two.go(1, 1, 2)
    assert two.go(STILL_SECONDS + STEP) == "worker 1"
    two.flags[0].clear()  # as Child.end_because_still does
    assert two.go(60) is None
    two.beats[0].clear()
    two.flags[0].set()
    assert two.go(STILL_SECONDS + STEP) == "worker 2"


@pytest.fixture
def looping() -> Iterator[int]:
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", "while True: pass"], os.environ)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_the_state_and_the_cpu_time_are_those_of_the_process(looping: int) -> None:
    eventually(lambda: cpu_seconds(looping)[1] > 0.1)
    os.kill(looping, signal.SIGSTOP)
    eventually(lambda: cpu_seconds(looping)[0] == "T")
    used = cpu_seconds(looping)[1]
    assert cpu_seconds(looping) == ("T", used)
    assert cpu_seconds(2**22 + 1) == ("", 0.0), "no such process"
