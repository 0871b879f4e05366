"""Outputs that hang: the short version of `python -m tests.faults outputs`, and the end of a service that hangs in them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ..support.fake_openai import FakeOpenAI
from . import stuck_outputs
from .crash import upstream
from .stuck_outputs import stuck_service


def test_a_service_whose_outputs_hang_answers_and_counts_what_it_loses(tmp_path: Path) -> None:
    figures = stuck_outputs.soak(tmp_path, seconds=5, workers=1)
    assert figures.answers > 1000


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_whose_outputs_hang_can_be_stopped(tmp_path: Path, workers: int, fake: FakeOpenAI) -> None:
    with stuck_service(tmp_path, workers, **upstream(fake)) as stuck:
        token = stuck.service.token("alice", stuck.secret)
        assert stuck.service.ask(token).status_code == 200
        started = time.monotonic()
        assert stuck.service.stop() == 0
        assert time.monotonic() - started < 20
        assert [record["action"] for record in stuck.service.records()][-1] == "ask.answered"
