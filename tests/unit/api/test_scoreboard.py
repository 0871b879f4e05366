"""Memory that the workers of one service share: whether any is closed, and how many requests it refused."""

from __future__ import annotations

import os

from app.api.scoreboard import Scoreboard


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
    assert (slot.closed, scoreboard.any_closed, slot.refused) == (False, False, 5)
    scoreboard.slot(0).set_closed(True)
    assert (slot.closed, scoreboard.any_closed) == (False, True)
