"""How long a connection may wait, phase by phase."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.limits.bounds import Bounds
from app.serving.deadlines import Phase, Waiting

BOUNDS = Bounds()


@dataclass
class Request:
    is_proven: bool


def waiting(phase: Phase) -> Waiting:
    found = Waiting(lambda: 100.0)
    found.enter(phase)
    return found


@pytest.mark.parametrize(
    ("phase", "seconds"),
    [(Phase.NEW, 10), (Phase.HEAD, 10), (Phase.BODY, 10), (Phase.IDLE, 75), (Phase.OVER, 1)],
)
def test_each_phase_ends_after_its_seconds(phase: Phase, seconds: float) -> None:
    one = waiting(phase)
    assert not one.is_overdue(100 + seconds, BOUNDS, Request(False), False)
    assert one.is_overdue(100.1 + seconds, BOUNDS, Request(False), False)


def test_an_answer_is_waited_for_without_end() -> None:
    assert not waiting(Phase.ANSWER).is_overdue(9999, BOUNDS, Request(True), False)


@pytest.mark.parametrize(("bytes_in_20_s", "is_overdue"), [(20 * 1024 - 1, True), (20 * 1024, False)])
def test_the_body_of_a_proven_caller_keeps_a_least_rate(bytes_in_20_s: int, is_overdue: bool) -> None:
    one = waiting(Phase.BODY)
    one.body_bytes = bytes_in_20_s
    assert one.is_overdue(120, BOUNDS, Request(True), False) == is_overdue


def test_a_fast_body_of_a_proven_caller_has_a_minute() -> None:
    one = waiting(Phase.BODY)
    one.body_bytes = 1 << 30
    assert not one.is_overdue(160, BOUNDS, Request(True), False)
    assert one.is_overdue(161, BOUNDS, Request(True), False)


def test_a_stop_waits_a_second_for_the_next_byte_of_a_body() -> None:
    one = waiting(Phase.BODY)
    one.last_byte = 101
    assert not one.is_overdue(102, BOUNDS, Request(True), True)
    assert one.is_overdue(102.1, BOUNDS, Request(True), True)


@pytest.mark.parametrize(("phase", "seconds"), [(Phase.HEAD, 0.15), (Phase.BODY, 0.15), (Phase.OVER, 0.15)])
def test_a_stop_waits_a_moment_for_who_has_proven_nothing(phase: Phase, seconds: float) -> None:
    one = waiting(phase)
    assert not one.is_overdue(100 + seconds - 0.01, BOUNDS, Request(False), True)
    assert one.is_overdue(100 + seconds + 0.01, BOUNDS, Request(False), True)
    if phase is not Phase.OVER:
        one.last_byte = 109
        assert not one.is_overdue(109.1, BOUNDS, Request(False), True)


def test_an_answer_is_unread_when_nothing_of_it_was_read_for_too_long() -> None:
    one = waiting(Phase.ANSWER)
    assert not one.is_unread(101, 500, BOUNDS, False)
    assert not one.is_unread(131, 499, BOUNDS, False)  # some was read
    assert not one.is_unread(160, 800, BOUNDS, False)
    assert one.is_unread(162, 800, BOUNDS, False)
    assert not one.is_unread(163, 0, BOUNDS, False)
