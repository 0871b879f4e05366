"""What `doctor` says of a PostgreSQL server."""

from __future__ import annotations

import asyncio

import pytest

from app.admin.doctor_postgres import look
from app.kit.postgres_url import PostgresUrl
from app.security.clients.store import open_clients

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
