"""The breakers of a service: one file in memory for each server, or one in each worker."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.catalogue.rules import BreakerRules
from app.upstream.resilience.breaker import Outcome
from app.wiring.breakers import breaker_files, own_breaker, shared_breakers

from ...support.windows import remove_windows, window_folder

RULES = BreakerRules(failures=1)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "log.jsonl"
    remove_windows(tmp_path / "log.jsonl")


def test_workers_of_one_log_share_the_breaker_of_a_server(log: Path) -> None:
    assert breaker_files(log) == []
    opened = shared_breakers(log)
    with closing(opened("lab", RULES)) as here, closing(opened("lab", RULES)) as there, closing(opened("a/b c", RULES)) as other:
        here.leave(here.enter(), Outcome.BAD)
        assert (there.is_open, other.is_open) == (True, False)
        assert len(breaker_files(log)) == 2


def test_where_no_memory_is_left_each_worker_has_its_own(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened = shared_breakers(log)
    window_folder(log).rmdir()
    with caplog.at_level(logging.WARNING), closing(opened("lab", RULES)) as breaker:
        assert not breaker.is_open
    assert "not shared" in caplog.text
    own_breaker("lab", RULES).close()
