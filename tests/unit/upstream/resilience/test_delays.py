"""How long it is until a server is asked again."""

from __future__ import annotations

from app.upstream.resilience.delays import FIRST_SECONDS, LONGEST_SECONDS, delay_before


def test_a_delay_is_anything_up_to_a_bound_that_doubles() -> None:
    assert [delay_before(retry, None, lambda: 1.0) for retry in (1, 2, 3)] == [FIRST_SECONDS * more for more in (1, 2, 4)]
    assert delay_before(9, None, lambda: 1.0) == LONGEST_SECONDS
    assert delay_before(2, None, lambda: 0.0) == 0.0


def test_a_server_that_names_a_time_is_not_asked_before_it() -> None:
    assert delay_before(1, 3.0, lambda: 0.0) == 3.0
    assert 3.0 < delay_before(1, 3.0, lambda: 1.0) <= 3.5
    assert delay_before(1, 0.0, lambda: 1.0) == FIRST_SECONDS, "0 names no time"
