"""Several nodes with one set of limits: short forms of `python -m tests.faults.nodes`."""

from __future__ import annotations

from pathlib import Path

import pytest

from .nodes import limits


def test_two_nodes_grant_a_limit_once(tmp_path: Path) -> None:
    assert limits.sixty(tmp_path, questions=120, limit=20, count=2).answers == 20


@pytest.mark.parametrize(("fault", "policy"), [("stalled", "refuse"), ("stopped", "local_share")])
def test_a_failing_server_of_limits_is_decided_as_stated(tmp_path: Path, fault: str, policy: str) -> None:
    assert limits.fail(tmp_path, fault=fault, policy=policy, seconds=1, clients=8).answers > 0
