"""Nothing that the ledger acknowledged is lost or doubled: the short versions of `python -m tests.faults ledger`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import ledger, ledger_nodes, ledger_services, ledger_split


def test_connections_that_are_cut_at_random_lose_and_double_nothing(tmp_path: Path) -> None:
    assert len(ledger.cut_connections(tmp_path, rounds=30).ready) == 30


@pytest.mark.slow
def test_killed_backends_lose_and_double_nothing(tmp_path: Path) -> None:
    assert len(ledger.kill_backends(tmp_path, rounds=2).ready) == 2


@pytest.mark.slow
def test_records_gone_before_their_message_are_not_acknowledged(tmp_path: Path) -> None:
    assert ledger.crash_between(tmp_path, rounds=1).remarks == ["the records were gone after 1 of 1 crashes"]


@pytest.mark.slow
def test_a_standby_that_takes_over_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    """Also where waits for it were cancelled, which the server tells as a success with a warning."""
    assert len(ledger.fail_over(tmp_path, rounds=2).ready) == 2


@pytest.mark.slow
def test_a_primary_that_was_replaced_and_lives_on_acknowledges_nothing(tmp_path: Path) -> None:
    """Neither to who stayed with it, nor to who saw the new one, even if it waits for no standby any more."""
    figures = ledger_split.split(tmp_path, rounds=1, seconds=0.5)
    assert (len(figures.ready), figures.broken > 0) == (1, True)


@pytest.mark.slow
def test_a_stalled_standby_closes_the_log_and_leaves_nobody_waiting(tmp_path: Path) -> None:
    assert len(ledger.stall_standby(tmp_path, rounds=1).ready) == 1


@pytest.mark.slow
def test_killed_nodes_lose_and_double_nothing(tmp_path: Path) -> None:
    assert len(ledger_nodes.kill_nodes(tmp_path, rounds=3).ready) == 3


@pytest.mark.slow
def test_a_node_that_was_frozen_and_replaced_writes_nothing_more(tmp_path: Path) -> None:
    assert len(ledger_nodes.freeze_nodes(tmp_path, rounds=1, seconds=0.5).ready) == 1


@pytest.mark.slow
def test_services_answer_again_once_the_standby_has_taken_over(tmp_path: Path) -> None:
    """Three verifiers then agree on all that was acknowledged before and after."""
    figures = ledger_services.serve(tmp_path, nodes=2, clients=8, questions=200, failovers=1)
    assert (figures.answers > 100, len(figures.ready)) == (True, 1)
