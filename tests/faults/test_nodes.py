"""Several nodes as one service: short forms of `python -m tests.faults`. That of the crowd is in test_ledger.py."""

from __future__ import annotations

from pathlib import Path

from ..cluster_demo.namespaces import unshared
from ..support.optional import leave_out
from ..support.postgres_server import PostgresServer
from .nodes import limits, one_log, partition


def test_two_nodes_grant_a_limit_once(tmp_path: Path) -> None:
    assert limits.sixty(tmp_path, questions=120, limit=20, count=2).answers == 20


def test_a_stalled_server_of_limits_is_decided_as_stated(tmp_path: Path) -> None:
    assert limits.fail(tmp_path, fault="stalled", policy="local_share", seconds=1, clients=8).answers > 0


def test_two_nodes_spend_no_more_than_there_is(tmp_path: Path, postgres: PostgresServer) -> None:
    assert one_log.budget(tmp_path, clients=60, money_for=10, count=2, postgres=postgres).answers <= 10


def test_a_node_cut_off_from_its_database_leaves_the_other_one_alone(tmp_path: Path, postgres: PostgresServer) -> None:
    assert one_log.cut_off(tmp_path, what="PostgreSQL", seconds=1, clients=4, postgres=postgres).answers > 0


def test_a_node_that_stood_still_and_was_replaced_is_fenced(tmp_path: Path, postgres: PostgresServer) -> None:
    figures = one_log.frozen(tmp_path, seconds=1, replaced=True, clients=4, postgres=postgres)
    assert "the old one is fenced" in figures.remarks


def test_a_node_that_hears_its_servers_no_more_writes_nothing_twice(tmp_path: Path) -> None:
    before, why = unshared()
    if not before:
        leave_out(f"network namespaces are not permitted: {why}")
    figures = partition.partition(tmp_path, direction="from the servers", seconds=3, clients=4)
    assert figures.answers > 0
