"""The deadline of a question: the operator's, which a caller can lower and not raise."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.assistant.deadline import road_of, seconds_of_plain
from app.assistant.exchange import Exchange
from app.upstream.resilience.seat import Seat

from ...support.asking import PRINCIPAL, FakeLog, origin, prepared


@pytest.mark.parametrize(("timeout", "waited"), [(600, 595), (160, 159), (60, 60), (0.5, 0.5)])
def test_the_error_comes_before_an_sdk_with_the_same_timeout_gives_up(timeout: float, waited: float) -> None:
    assert seconds_of_plain(timeout) == waited


@pytest.mark.parametrize(
    ("asked", "seconds", "is_lowered"),
    [(None, 50, False), (600.0, 50, False), (50.0, 50, False), (10.0, 9.8, True)],
)
def test_a_caller_can_lower_it_and_not_raise_it(asked: float | None, seconds: float, is_lowered: bool) -> None:
    exchange = Exchange(FakeLog().security, PRINCIPAL, prepared(timeout_seconds=50), replace(origin(), timeout_seconds=asked))
    seat = Seat("alice")
    assert (road := road_of(exchange, seat, is_plain=True)).until - seat.since == pytest.approx(seconds)
    assert road.is_short is is_lowered
