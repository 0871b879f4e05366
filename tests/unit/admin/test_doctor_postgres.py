"""What `doctor` says of a PostgreSQL server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.admin.doctor_postgres import look, look_at_nodes
from app.kit.postgres_url import PostgresUrl
from app.security.clients.store import open_clients
from app.settings import load_settings

from ...support.clean_settings import use_defaults
from ...support.postgres_clients import make_clients
from ...support.postgres_server import PostgresServer
from ...support.tokens import ASK

pytestmark = pytest.mark.slow


def add_client(url: PostgresUrl) -> None:
    async def add() -> None:
        store = open_clients(url)
        await store.add("alice", [ASK])
        await store.aclose()

    asyncio.run(add())


def test_a_server_that_can_be_used_is_told_in_one_line(postgres: PostgresServer) -> None:
    url = make_clients(postgres)
    (finding,) = look(url)
    assert (finding.state, "can be used, and nobody can ask: " in finding.says) == ("note", True)
    add_client(url)
    (finding,) = look(url)
    assert (finding.state, finding.says.partition(": PostgreSQL ")[0]) == ("ok", f"{url} can be used")


def test_a_superuser_is_more_than_is_needed(postgres: PostgresServer) -> None:
    url = make_clients(postgres)
    add_client(url)
    found = PostgresUrl(postgres.url(str(url.parameters()["dbname"])), "DATABASE_URL")
    (finding,) = look(found)
    assert (finding.state, "is a superuser. Use a role that owns this database" in finding.says) == ("note", True)


def test_machines_are_compared_where_there_may_be_several(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_defaults(monkeypatch, tmp_path)
    assert list(look_at_nodes(load_settings())) == [], "the clients are in a file"
    monkeypatch.setenv("DATABASE_URL", make_clients(postgres).text)
    (finding,) = look_at_nodes(load_settings())
    assert (finding.state, "have the same settings" in finding.says) == ("ok", True)
