"""Another file at the path of the database has another identity, and gets what it lacks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from app.security.clients.database import Where
from app.security.clients.replaced_database import DatabasePlace
from app.security.clients.store import open_clients

from ....support.client_database import make_database
from ....support.postgres_clients import make_clients
from ....support.postgres_server import PostgresServer


def test_a_file_is_the_same_until_it_is_replaced_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "clients.sqlite3"
    path.write_bytes(b"1")
    place = DatabasePlace(path)
    path.write_bytes(b"2")
    assert place.is_same()
    shutil.copy(path, tmp_path / "copy")
    path.rename(tmp_path / "away")
    assert (place.is_same(), place.identity()) == (False, 0)
    (tmp_path / "copy").rename(path)
    assert not place.is_same()
    place.accept(place.identity())
    assert place.is_same()
    (tmp_path / "away").rename(path)
    assert not place.is_same()


async def check_what_is_written(where: Where) -> None:
    store = open_clients(where, now=lambda: 1_000.0)
    try:
        for name in ("alice", "bobby"):
            await store.add(name, ["ai.playground.user"])
        await store.revoke("a" * 32, 5_000)
        before = await store.current_revocations()
        await store.keep_refused({"a" * 32: 2_000, "b" * 32: 3_000}, frozenset({"bobby", "nobody"}))
        after = await store.current_revocations()
    finally:
        await store.aclose()
    assert dict(after.expiries) == {"a" * 32: 5_000, "b" * 32: 3_000}, "one that is there is not changed"
    assert after.disabled == frozenset({"bobby"}), "one that is not there is not added"
    assert after.generation == before.generation + 1


@pytest.mark.anyio
async def test_what_a_file_lacks_is_written_into_it(tmp_path: Path) -> None:
    await check_what_is_written(make_database(tmp_path / "clients.sqlite3"))


@pytest.mark.anyio
async def test_what_a_server_lacks_is_written_into_it(postgres: PostgresServer) -> None:
    await check_what_is_written(make_clients(postgres))
