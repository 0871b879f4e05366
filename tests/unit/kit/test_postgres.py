"""Connections that do not wait for ever: a stopped server, a pooler, and a certificate of another."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pytest
from cryptography import x509

from app.errors import ConfigError
from app.kit import postgres as connections
from app.kit.postgres import connect
from app.kit.postgres_url import PostgresUrl

from ...support.certificates import Authority
from ...support.pgbouncer import pgbouncer
from ...support.postgres_server import PostgresServer
from ...support.tcp_proxy import TcpProxy

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


def test_only_the_server_that_the_url_names_is_spoken_to(tmp_path: Path, postgres: PostgresServer) -> None:
    (tmp_path / "other").mkdir()
    authority, other = Authority.in_folder(tmp_path), Authority.in_folder(tmp_path / "other")

    def named(proxy: TcpProxy, root: Path) -> PostgresUrl:
        address = postgres.url().replace(f":{postgres.port}/", f":{proxy.port}/")
        return url(f"{address}?sslmode=verify-full&sslrootcert={root}")

    with TcpProxy(postgres.port, authority.server()) as proxy:
        with connect(named(proxy, authority.path)) as connection:
            assert connection.pgconn.ssl_in_use
        with pytest.raises(psycopg.OperationalError, match="SSL error"):
            connect(named(proxy, other.path))
    with TcpProxy(postgres.port, authority.server(x509.DNSName("another.example"))) as proxy:
        with pytest.raises(psycopg.OperationalError, match=r"server certificate .* does not match"):
            connect(named(proxy, authority.path))
