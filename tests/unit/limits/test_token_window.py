"""The window of tokens: never more than its limit in a minute, for all processes together, whatever is corrected."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits.token_window import TokenStorage

from ...support.windows import Clock

LIMIT = 100


def storage_in(folder: str | Path, clock: Clock) -> TokenStorage:
    return TokenStorage(f"tokens://{folder}/limits-tokens", clock=clock)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def storage(tmp_path: Path, clock: Clock) -> Iterator[TokenStorage]:
    with closing(storage_in(tmp_path / "memory", clock)) as storage:
        yield storage


def test_amounts_are_added_while_they_fit(storage: TokenStorage, clock: Clock) -> None:
    assert storage.acquire_entry("a", LIMIT, 60, 60)
    assert not storage.acquire_entry("a", LIMIT, 60, 41)
    assert storage.acquire_entry("b", LIMIT, 60, 41)
    assert storage.acquire_entry("a", LIMIT, 60, 40)
    assert storage.get_moving_window("a", LIMIT, 60) == (1000.0, 100)
    clock.now += 61
    assert storage.acquire_entry("a", LIMIT, 60, 100)


def test_what_was_not_used_is_free_again(storage: TokenStorage, clock: Clock) -> None:
    assert storage.acquire_entry("a", LIMIT, 60, 100)
    at = storage.added_at
    clock.now += 30
    storage.correct("a", at, -70)
    assert storage.acquire_entry("a", LIMIT, 60, 70)
    clock.now += 31
    assert storage.get_moving_window("a", LIMIT, 60)[1] == 70


def test_the_wait_is_as_long_as_it_takes_until_there_is_room(storage: TokenStorage, clock: Clock) -> None:
    for _ in range(3):
        assert storage.acquire_entry("a", LIMIT, 60, 30)
        clock.now += 10
    assert [storage.seconds_until("a", LIMIT, amount) for amount in (11, 40, 41, 100)] == [31, 31, 41, 51]
    clock.now += 30.9
    assert not storage.acquire_entry("a", LIMIT, 60, 40)
    clock.now += 0.1
    assert storage.acquire_entry("a", LIMIT, 60, 40)


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "correct"]), st.integers(1, 120), st.sampled_from([0.0, 0.5, 7.0, 29.0, 60.0, 61.0])),
    max_size=40,
)


@given(STEPS)
def test_no_minute_ever_has_more_than_the_limit(steps: list[tuple[str, int, float]]) -> None:
    clock = Clock()
    with TemporaryDirectory() as folder:
        both = [storage_in(f"{folder}/memory", clock) for _ in range(2)]
        added: list[list[float]] = []
        try:
            for number, (step, amount, seconds) in enumerate(steps):
                clock.now += seconds
                storage = both[number % 2]
                if step == "add" and storage.acquire_entry("a", LIMIT, 60, amount):
                    added.append([clock.now, amount])
                elif step == "correct" and added and added[-1][1] > 1:
                    storage.correct("a", added[-1][0], -1)
                    added[-1][1] -= 1
                assert sum(amount for at, amount in added if at > clock.now - 60) <= LIMIT
                assert both[0].get_moving_window("a", LIMIT, 60)[1] == both[1].get_moving_window("a", LIMIT, 60)[1]
        finally:
            for storage in both:
                storage.close()


def test_only_moving_windows_are_kept(storage: TokenStorage) -> None:
    with pytest.raises(TypeError, match="moving windows of 60 s only"):
        storage.incr("a", 60)
