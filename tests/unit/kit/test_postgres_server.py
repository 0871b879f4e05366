"""What a PostgreSQL server says of itself, also through a pooler."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

from app.kit.postgres_server import ServerFacts, read_facts

from ...support.pgbouncer import pgbouncer
from ...support.postgres_server import PostgresServer


def facts_at(url: str) -> ServerFacts:
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        return read_facts(connection)


def test_a_plain_server_says_what_it_keeps(postgres: PostgresServer) -> None:
    facts = facts_at(postgres.url())
    assert (facts.settings["fsync"], facts.settings["synchronous_commit"]) == ("on", "on")
    assert facts.version >= 14
    assert (facts.role, facts.is_superuser, facts.is_standby, facts.is_pooled) == ("postgres", True, False, False)


def test_a_setting_of_the_role_counts(postgres: PostgresServer) -> None:
    role = postgres.new_role()
    postgres.query(f'ALTER ROLE "{role}" SET synchronous_commit = off')
    facts = facts_at(postgres.url(user=role))
    assert (facts.settings["synchronous_commit"], facts.is_superuser) == ("off", False)


@pytest.mark.parametrize("mode", ["transaction", "session", "statement"])
def test_pgbouncer_is_seen_in_each_of_its_modes(postgres: PostgresServer, mode: str) -> None:
    with pgbouncer(postgres, mode) as url:
        assert facts_at(url).is_pooled
