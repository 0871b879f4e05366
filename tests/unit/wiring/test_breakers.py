"""The breakers of a service: one file in memory for each server, or one in each worker."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.catalogue.rules import BreakerRules
from app.limits.shared_folder import path_of
from app.upstream.resilience.breaker import Outcome
from app.wiring.breakers import breaker_files, own_breaker, shared_breakers

from ...support.windows import remove_windows

RULES = BreakerRules(failures=1)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "log.jsonl"
    remove_windows(tmp_path / "log.jsonl")


def test_workers_of_one_log_share_the_breaker_of_a_server(log: Path) -> None:
    assert breaker_files(log) == []
    with shared_breakers(log) as one, shared_breakers(log) as other:
        with closing(one("lab", RULES)) as here, closing(other("lab", RULES)) as there, closing(one("a/b c", RULES)) as third:
            here.leave(here.enter(), Outcome.BAD)
            assert (there.is_open, third.is_open) == (True, False)
            assert len(breaker_files(log)) == 2
    assert not path_of(log).exists(), "the last one removes it"


def test_where_no_memory_is_left_each_worker_has_its_own(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    with shared_breakers(log) as opened, caplog.at_level(logging.WARNING):
        path_of(log).chmod(0o755)
        with closing(opened("lab", RULES)) as breaker:
            assert not breaker.is_open
        path_of(log).chmod(0o700)
    assert "not shared" in caplog.text
    own_breaker("lab", RULES).close()
