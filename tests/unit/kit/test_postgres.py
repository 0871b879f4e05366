"""Connections that do not wait for ever: a stopped server, and a pooler."""

from __future__ import annotations

import os
import signal

import psycopg
import pytest

from app.errors import ConfigError
from app.kit import postgres as connections
from app.kit.postgres import connect
from app.kit.postgres_url import PostgresUrl

from ...support.pgbouncer import pgbouncer
from ...support.postgres_server import PostgresServer

pytestmark = pytest.mark.slow


def url(text: str) -> PostgresUrl:
    return PostgresUrl(text, "DATABASE_URL")


def test_a_server_that_stands_still_closes_the_connection(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_SECONDS", 0.3)
    with connect(url(postgres.url()), search_path="pg_catalog") as connection:
        (pid,) = connection.execute("SELECT pg_backend_pid()").fetchone() or (0,)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(psycopg.OperationalError, match="the server did not answer in time"):
            connection.execute("SELECT 1")
        assert connection.closed
        os.kill(pid, signal.SIGCONT)


def test_what_a_vanished_node_holds_is_soon_free(postgres: PostgresServer) -> None:
    with connect(url(postgres.url())) as connection:
        for name, value in connections.SERVER_SIDE.items():
            assert str((connection.execute(f"SHOW {name}").fetchone() or ("",))[0]).rstrip("s") == value.rstrip("s"), name


def test_a_pooler_is_refused_with_a_sentence(postgres: PostgresServer) -> None:
    with pgbouncer(postgres) as address, pytest.raises(ConfigError, match="DATABASE_URL leads to a connection pooler such as"):
        connect(url(address))
