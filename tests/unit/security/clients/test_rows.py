"""One client of the database: whether anybody can get a token, and what is said where there is none."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import InvalidRequest
from app.security.clients.database import Where
from app.security.clients.rows import has_active_client
from app.security.clients.store import ClientStore, open_clients
from app.security.roles import ASK


def test_a_disabled_client_gets_no_token(where: Where) -> None:
    async def change(*names: str) -> bool:
        store = open_clients(where)
        for name in names:
            await (store.add("alice", [ASK]) if name == "add" else getattr(store, name)("alice"))
        await store.aclose()
        return has_active_client(where)

    assert not has_active_client(where)
    assert asyncio.run(change("add"))
    assert not asyncio.run(change("disable"))
    assert asyncio.run(change("enable"))


REFUSALS = [
    ("add", "alice", "Client alice exists already. Choose another name, or run {} clients rotate alice for a new secret."),
    ("disable", "nobody", "There is no such client. {} clients list shows all clients."),
    ("disable", "\ud800", "There is no such client. {} clients list shows all clients."),
    ("rotate", "alice", "Client alice is disabled. {} clients enable alice enables it again."),
    ("add_secret", "bobby", "Client bobby has two secrets already. {} clients remove-secret bobby removes the older one."),
    ("remove_secret", "carol", "Client carol has one secret. {} clients disable carol refuses it."),
]


@pytest.mark.parametrize(("name", "client_id", "sentence"), REFUSALS)
def test_a_refusal_names_the_command_that_helps(where: Where, name: str, client_id: str, sentence: str) -> None:
    async def refused(store: ClientStore) -> None:
        for client in ("alice", "bobby", "carol"):
            await store.add(client, [ASK])
        await store.disable("alice")
        await store.add_secret("bobby")
        try:
            with pytest.raises(InvalidRequest) as caught:
                await getattr(store, name)(client_id, *([ASK],) * (name == "add"))
        finally:
            await store.aclose()
        assert caught.value.detail == sentence.format("python -m app")

    asyncio.run(refused(open_clients(where)))
