"""Whatever happens to the node that signs, another goes on: the short version of `python -m tests.faults signers`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import ledger_clock, signers


@pytest.mark.slow
def test_nodes_that_are_killed_or_cut_off_leave_one_line_of_heads(tmp_path: Path) -> None:
    assert len(signers.hurt_signers(tmp_path, rounds=2, faults=("killed", "cut off")).ready) == 2


@pytest.mark.slow
def test_a_server_s_clock_that_is_set_is_recorded_and_no_head_is_wrong(tmp_path: Path) -> None:
    assert len(ledger_clock.step_clock(tmp_path).ready) == 2
