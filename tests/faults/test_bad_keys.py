"""Bad API keys: the short version of `python -m tests.faults keys`."""

from __future__ import annotations

import random
from pathlib import Path

from . import bad_keys
from .bad_keys import MAX_T, welch


def test_no_bad_key_is_accepted_and_all_get_one_answer(tmp_path: Path) -> None:
    assert bad_keys.refuse(tmp_path, keys=500, workers=2).answers == 500


def test_the_time_of_an_answer_does_not_show_whether_a_key_exists(tmp_path: Path) -> None:
    assert bad_keys.time_keys(tmp_path, pairs=500).answers == 1000


def test_the_time_of_an_answer_does_not_show_whether_a_client_exists(tmp_path: Path) -> None:
    assert bad_keys.time_clients(tmp_path, pairs=500).answers == 1000


def test_times_that_differ_are_told_apart() -> None:
    chance = random.Random(1)
    one, same, slower = ([chance.gauss(mean, 50) for _ in range(20_000)] for mean in (700, 700, 703))
    assert abs(welch(one, same)) < MAX_T < abs(welch(one, slower))
