"""Memory that the workers of one service share: whether any is closed, and how many requests it refused."""

from __future__ import annotations

import os
import time

from app.api.scoreboard import COUNTED, NOT_COUNTED, Scoreboard


def in_child(scoreboard: Scoreboard, number: int, closed: bool, refused: int) -> None:
    """A worker takes its slot, writes to it, and ends."""
    pid = os.fork()
    if not pid:
        try:
            slot = scoreboard.slot(number)
            slot.set_closed(closed)
            for _ in range(refused):
                slot.refused += 1
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_what_a_worker_writes_is_seen_by_all() -> None:
    scoreboard = Scoreboard(3)
    assert (scoreboard.any_closed, scoreboard.refused) == (False, 0)
    for number in range(3):
        in_child(scoreboard, number, closed=number == 1, refused=1000 + number)
    assert (scoreboard.any_closed, scoreboard.refused) == (True, 3003)


def test_a_replacement_begins_open_and_counts_on() -> None:
    scoreboard = Scoreboard(2)
    in_child(scoreboard, 1, closed=True, refused=5)
    slot = scoreboard.slot(1)
    assert (scoreboard.any_closed, slot.refused) == (False, 5)
    scoreboard.slot(0).set_closed(True)
    assert scoreboard.any_closed


def test_a_replacement_is_not_taken_for_one_that_cannot_count() -> None:
    scoreboard = Scoreboard(2)
    scoreboard.slot(1).set_counting(NOT_COUNTED)
    assert scoreboard.any_uncounted
    scoreboard.slot(1)
    assert not scoreboard.any_uncounted


def test_the_parent_sees_when_a_worker_moved_last_until_it_stops() -> None:
    scoreboard = Scoreboard(2)
    pulse, slot = scoreboard.pulse(1), scoreboard.slot(1)
    assert pulse.beaten_at == 0, "nothing is expected of a worker that is not ready"
    before = time.monotonic()
    slot.beat()
    assert before - 0.001 <= pulse.beaten_at <= time.monotonic() + 0.001
    assert scoreboard.pulse(0).beaten_at == 0
    slot.end_beat()
    assert pulse.beaten_at == 0
    slot.beat()
    pulse.clear()
    assert pulse.beaten_at == 0


def test_a_successor_learns_of_a_worker_that_stood_still() -> None:
    scoreboard = Scoreboard(2)
    scoreboard.pulse(1).note_stood(4_000_000, 2.25)
    slot = scoreboard.slot(1)
    assert (slot.stood, scoreboard.slot(0).stood) == ((4_000_000, 2.25), None)
    slot.forget_stood()
    assert slot.stood is None


def test_one_worker_that_cannot_count_is_seen_by_all() -> None:
    scoreboard = Scoreboard(3)
    slots = [scoreboard.slot(number) for number in range(3)]
    assert not scoreboard.any_uncounted
    slots[2].set_counting(NOT_COUNTED)
    assert scoreboard.any_uncounted
    slots[2].set_counting(COUNTED)
    assert not scoreboard.any_uncounted


def test_a_stop_is_seen_by_all_processes() -> None:
    scoreboard = Scoreboard(1)
    assert not scoreboard.is_stopping
    if not (pid := os.fork()):
        try:
            scoreboard.is_stopping = True
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert scoreboard.is_stopping
