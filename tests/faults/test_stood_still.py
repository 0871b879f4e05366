"""A worker that stands still is replaced, and only such a one: the short version of `python -m tests.faults still`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from app.serving.still_watch import STILL_SECONDS

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from . import stood_still
from .crash import upstream


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_stands_still_is_replaced_and_recorded(tmp_path: Path, workers: int) -> None:
    figures = stood_still.freeze(tmp_path, rounds=1, workers=workers, clients=4)
    assert len(figures.ready) == 1


def test_nobody_is_replaced_where_the_supervisor_stood_still_too(tmp_path: Path, fake: FakeOpenAI) -> None:
    """As in a machine that is suspended: every process of the service stops, and goes on later."""
    with Service(tmp_path, workers=2, **upstream(fake)) as service:
        token, workers = service.token("alice", service.add_client()), service.worker_pids()
        assert service.process is not None
        os.killpg(service.process.pid, signal.SIGSTOP)
        time.sleep(2 * STILL_SECONDS)  # it is about this time: nothing tells that it is over
        os.killpg(service.process.pid, signal.SIGCONT)
        for _ in range(20):
            assert service.ask(token).status_code == 200
        assert service.worker_pids() == workers
        assert service.stop() == 0
        assert "worker.replaced" not in {record["action"] for record in service.records()}
        assert "stood still" not in service.output()
