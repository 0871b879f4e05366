"""A client database that is replaced while it is used revives no token, and is recorded once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.errors import AuditUnavailable, Unavailable
from app.security.clients.store import ClientStore, open_clients
from app.security.database_follower import DatabaseFollower
from app.security.models import NEVER, Revocations
from app.security.replacement_notice import ReplacementNotice
from app.security.security_log import SecurityLog

from ...support.client_database import make_database
from ...support.tokens import ASK

pytestmark = pytest.mark.anyio
HOUR = 3_600
JTI, OTHER = "a" * 32, "b" * 32


class Desk:
    """A database, an older copy of it without its revocations, and some followers of it."""

    def __init__(self, folder: Path, count: int = 1) -> None:
        self.path, self.old = folder / "clients.sqlite3", folder / "old.sqlite3"
        make_database(self.path)
        self.events, self.notice = SecurityLog(folder / "security.log"), ReplacementNotice()
        self.details: list[Mapping[str, Any]] = []
        self.is_log_open = True
        self.stores = [open_clients(self.path) for _ in range(count)]
        self.followers = [self.follower(store) for store in self.stores]
        self.known: list[Revocations] = []

    def follower(self, store: ClientStore) -> DatabaseFollower:
        return DatabaseFollower(store, self._record, self.events, self.notice, HOUR, time.time)

    async def _record(self, user_id: str | None, action: str, details: Mapping[str, Any]) -> None:
        assert (user_id, action) == (None, "database.replaced")
        if not self.is_log_open:
            raise AuditUnavailable
        self.details.append(details)

    async def fill(self) -> None:
        """Two clients, and an older copy; then one is disabled and a token revoked."""
        store = self.stores[0]
        await store.add("alice", [ASK])
        await store.add("bob", [ASK])
        with sqlite3.connect(self.path) as now, sqlite3.connect(self.old) as old:
            now.backup(old)
        await store.disable("bob")
        await store.revoke(JTI, int(time.time()) + HOUR)
        self.known = [await one.load() for one in self.followers]

    async def follow(self) -> None:
        self.known = [await one.follow(known) for one, known in zip(self.followers, self.known, strict=True)]

    def replace_by(self, other: Path) -> None:
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        shutil.copy(other, self.path.with_name("copy"))
        os.replace(self.path.with_name("copy"), self.path)

    def refused(self) -> list[tuple[set[str], set[str]]]:
        return [(set(one.revoked), set(one.disabled)) for one in self.known]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path, count=2)
    await desk.fill()
    yield desk
    for store in desk.stores:
        await store.aclose()
    desk.events.close()


async def test_a_database_that_only_changes_is_followed_without_a_record(desk: Desk) -> None:
    await desk.stores[0].revoke(OTHER, int(time.time()) + HOUR)
    await desk.stores[0].enable("bob")
    await desk.follow()
    assert desk.refused() == [({JTI, OTHER}, set())] * 2
    assert desk.details == []
    assert desk.notice.kept == 0


async def test_an_older_database_revives_nothing_and_is_recorded_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.replace_by(desk.old)
    for _ in range(3):
        await desk.follow()
        assert desk.refused() == [({JTI}, {"bob"})] * 2
    details = {"how": "another file", "generation": 2, "generation_before": 4, "kept_revoked": 1, "kept_disabled": 1}
    assert desk.details == [details]
    assert desk.notice.kept == 2
    assert desk.events.flush()
    (event,) = (desk.path.parent / "security.log").read_text().splitlines()
    assert event.partition(" ")[2] == 'CRITICAL database_replaced how="another file" kept=2'
    assert caplog.messages == ["The client database was replaced while it was in use (another file)."]


async def test_what_it_lacks_is_written_into_it_for_processes_that_start_later(desk: Desk) -> None:
    desk.replace_by(desk.old)
    for _ in range(2):
        await desk.follow()
    late = open_clients(desk.path)
    found = await desk.follower(late).load()
    await late.aclose()
    assert (set(found.revoked), set(found.disabled)) == ({JTI}, {"bob"})


async def test_while_it_cannot_be_written_what_it_lacks_is_kept_in_memory(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    store = open_clients(desk.path, timeout=0.1)
    follower = desk.follower(store)
    known = await follower.load()
    desk.replace_by(desk.old)
    with closing(sqlite3.connect(desk.path, isolation_level=None)) as another:
        another.execute("BEGIN IMMEDIATE")
        for _ in range(2):
            known = await follower.follow(known)
            assert (set(known.revoked), set(known.disabled)) == ({JTI}, {"bob"})
        assert JTI not in (await store.current_revocations()).revoked
    (said,) = [message for message in caplog.messages if "in memory only" in message]
    assert said.endswith("in memory only: The client database cannot be used now. Try again later.")
    await follower.follow(known)
    assert JTI in (await store.current_revocations()).revoked
    await store.aclose()


async def test_a_key_that_was_revoked_stays_so_in_an_older_database(desk: Desk) -> None:
    store = desk.stores[0]
    new = store.keys.make()
    await store.keys.add(new, "alice", (ASK,))
    with sqlite3.connect(desk.path) as now, sqlite3.connect(desk.old) as old:
        now.backup(old)
    await store.revoke(new.key_id, NEVER)
    await desk.follow()
    desk.replace_by(desk.old)
    for _ in range(2):
        await desk.follow()
        assert all(new.key_id in one.revoked for one in desk.known)
    late = open_clients(desk.path)
    assert new.key_id in (await desk.follower(late).load()).revoked, "it is written into it"
    await late.aclose()


async def test_an_operator_can_enable_a_client_that_stayed_disabled(desk: Desk) -> None:
    desk.replace_by(desk.old)
    for _ in range(3):
        await desk.follow()
    await desk.stores[0].enable("bob")
    await desk.follow()
    assert desk.refused() == [({JTI}, set())] * 2


async def test_older_content_in_the_same_file_counts_as_a_replacement(desk: Desk) -> None:
    with sqlite3.connect(desk.old) as old, sqlite3.connect(desk.path) as now:
        old.backup(now)
    for _ in range(2):
        await desk.follow()
        assert desk.refused() == [({JTI}, {"bob"})] * 2
    assert [one["how"] for one in desk.details] == ["older content"]


async def test_a_revocation_that_is_deleted_by_hand_stays_in_force(desk: Desk) -> None:
    with sqlite3.connect(desk.path) as now:
        now.execute("DELETE FROM revocations")
        now.execute("UPDATE generation SET value = value + 1")
    await desk.follow()
    assert desk.refused() == [({JTI}, {"bob"})] * 2


async def test_the_same_content_in_another_file_is_recorded_and_lacks_nothing(desk: Desk, tmp_path: Path) -> None:
    with sqlite3.connect(desk.path) as now, sqlite3.connect(tmp_path / "same") as same:
        now.backup(same)
    desk.replace_by(tmp_path / "same")
    for _ in range(2):
        await desk.follow()
    assert [(one["kept_revoked"], one["kept_disabled"]) for one in desk.details] == [(0, 0)]
    assert desk.notice.kept == 0


async def test_a_removed_database_is_unavailable_until_it_is_back(desk: Desk, tmp_path: Path) -> None:
    desk.path.rename(tmp_path / "away")
    for _ in range(2):
        with pytest.raises(Unavailable, match="no client database"):
            await desk.follow()
    (tmp_path / "away").rename(desk.path)
    await desk.follow()
    assert desk.refused() == [({JTI}, {"bob"})] * 2
    assert desk.details == []


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
async def test_a_file_that_is_no_client_database_is_not_taken(desk: Desk, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other").write_bytes(content)
    desk.replace_by(tmp_path / "other")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await desk.follow()
    desk.replace_by(desk.old)
    for _ in range(2):
        await desk.follow()
    assert desk.refused() == [({JTI}, {"bob"})] * 2
    assert len(desk.details) == 1


async def test_a_replacement_that_cannot_be_recorded_now_is_recorded_later(desk: Desk) -> None:
    desk.is_log_open = False
    desk.replace_by(desk.old)
    for _ in range(2):
        await desk.follow()
    assert desk.details == []
    desk.is_log_open = True
    await desk.follow()
    assert len(desk.details) == 1


async def test_a_replacement_between_two_starts_of_a_worker_is_recorded(desk: Desk) -> None:
    """Nobody remembers what was refused; but the log says that the file is another."""
    desk.replace_by(desk.old)
    late = open_clients(desk.path)
    follower = desk.follower(late)
    await follower.follow(await follower.load())
    await late.aclose()
    assert [(one["generation_before"], one["kept_revoked"]) for one in desk.details] == [(None, 0)]
