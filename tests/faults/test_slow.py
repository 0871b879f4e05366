"""Slow callers by slowhttptest: the short version of `python -m tests.faults slow`."""

from __future__ import annotations

import pytest

from ..support.optional import leave_out
from ..support.service import Service
from . import slow


@pytest.mark.parametrize("mode", slow.MODES)
def test_the_service_stays_available_to_slowhttptest(service: Service, token: str, mode: str) -> None:
    if slow.found() is None:
        leave_out(slow.MISSING)
    assert slow.slow_down_at(service, token, mode, connections=100, seconds=3, quiet_seconds=0.1).answers
