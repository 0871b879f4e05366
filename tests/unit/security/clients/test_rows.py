"""One client of the database: whether anybody can get a token, and what is said where there is none."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.errors import InvalidRequest
from app.security.clients.rows import has_active_client
from app.security.clients.store import ClientStore, open_clients
from app.security.roles import ASK


def test_a_disabled_client_gets_no_token(path: Path) -> None:
    async def change(*names: str) -> bool:
        store = open_clients(path)
        for name in names:
            await (store.add("alice", [ASK]) if name == "add" else getattr(store, name)("alice"))
        await store.aclose()
        return has_active_client(path)

    assert not has_active_client(path)
    assert asyncio.run(change("add"))
    assert not asyncio.run(change("disable"))
    assert asyncio.run(change("enable"))


@pytest.mark.parametrize(
    ("name", "client_id", "advice"),
    [
        ("disable", "nobody", "python -m app clients list shows all clients."),
        ("disable", "\ud800", "python -m app clients list shows all clients."),
        ("rotate", "alice", "python -m app clients enable alice enables it again."),
    ],
)
def test_a_refusal_names_the_command_that_helps(path: Path, name: str, client_id: str, advice: str) -> None:
    async def refused(store: ClientStore) -> None:
        await store.add("alice", [ASK])
        await store.disable("alice")
        try:
            with pytest.raises(InvalidRequest, match=advice):
                await getattr(store, name)(client_id)
        finally:
            await store.aclose()

    asyncio.run(refused(open_clients(path)))
