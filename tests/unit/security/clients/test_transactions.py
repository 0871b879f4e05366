"""A change and its record: neither without the other, as far as one process can see to it."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from app.errors import AuditUnavailable, Unavailable
from app.security.clients.database import Where
from app.security.clients.store import open_clients
from app.security.roles import ASK

pytestmark = pytest.mark.anyio
JTI = "0123456789abcdef" * 2


async def test_a_database_that_another_process_holds_is_told_before_the_record(path: Path) -> None:
    store, recorded = open_clients(path, timeout=0.01), list[str]()
    await store.add("alice", [ASK])

    async def record(*_: object) -> None:
        recorded.append("a change")

    with sqlite3.connect(path) as other:
        other.execute("BEGIN IMMEDIATE")
        for change in (
            store.add("bobby", [ASK], record=record),
            store.disable("alice", record),
            store.change_settings("alice", {"rpm": 9}, record),
            store.rotate("alice", record),
            store.revoke(JTI, 2**40, record),
            store.keys.add(store.keys.make(), "alice", (ASK,), record=record),
        ):
            with pytest.raises(Unavailable):
                await change
    assert recorded == []
    await store.aclose()


async def test_a_change_waits_for_its_record_and_is_not_made_without_it(where: Where) -> None:
    store, seen = open_clients(where), list[int]()

    async def record() -> None:
        seen.append(await store.generation())
        if len(seen) == 2:
            raise AuditUnavailable

    await store.add("alice", [ASK], record=record)
    with pytest.raises(AuditUnavailable):
        await store.disable("alice", record)
    assert seen == [0, 1], "nobody sees a change before its record"
    assert await store.generation() == 1
    assert not (await store.verify_exists("alice")).disabled
    await store.aclose()


async def test_many_changes_at_once_leave_a_connection_for_what_they_read(where: Where) -> None:
    store, names = open_clients(where), [f"client-{number:02}" for number in range(12)]
    await asyncio.gather(*(store.add(name, [ASK], record=store.list_all) for name in names))
    assert [one.client_id for one in await store.list_all()] == names
    await store.aclose()
