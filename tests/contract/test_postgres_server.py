"""The PostgreSQL of the tests is a real one: as durable as it says, and with a standby that is asked at each commit."""

from __future__ import annotations

import pytest

from ..support.postgres_server import PostgresServer


def test_what_was_committed_survives_a_crash() -> None:
    with PostgresServer() as server:
        assert (server.setting("fsync"), server.setting("full_page_writes")) == ("on", "on")
        server.query("CREATE TABLE kept AS SELECT 1 AS one")
        server.crash()
        server.start()
        assert server.query("SELECT one FROM kept") == [(1,)]


@pytest.mark.slow
def test_a_promoted_standby_has_what_was_committed() -> None:
    with PostgresServer() as server, server.standby() as standby:
        server.query("CREATE TABLE kept AS SELECT 1 AS one")
        server.crash()
        standby.promote()
        assert standby.query("SELECT one FROM kept") == [(1,)]


def test_each_test_has_a_database_of_its_own(postgres: PostgresServer) -> None:
    assert postgres.new_database() != postgres.new_database()
