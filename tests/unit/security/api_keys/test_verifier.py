"""Which keys prove a caller, on a real database: looked up once, checked on every call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.errors import AuditUnavailable, Unavailable
from app.security.api_keys.form import KeyRefused, NewKey, make_key
from app.security.api_keys.verifier import KeyVerifier
from app.security.clients.migrations import create_or_upgrade_database
from app.security.clients.store import ClientStore, open_clients
from app.security.models import NEVER, Principal
from app.security.roles import ASK, AUDIT_READER

from ....support.tokens import HOUR, NOTHING_REVOKED, NOW, Clock

pytestmark = pytest.mark.anyio


@dataclass
class Desk:
    """A verifier over a database, with what it has recorded."""

    clients: ClientStore
    clock: Clock = field(default_factory=Clock)
    records: list[tuple[str | None, str, dict[str, Any]]] = field(default_factory=list)
    is_log_open: bool = True

    def __post_init__(self) -> None:
        self.verifier = self.another()

    def another(self) -> KeyVerifier:
        return KeyVerifier(self.clients.keys, self._record, self.clock)

    async def _record(self, user_id: str | None, action: str, details: Mapping[str, Any]) -> None:
        await asyncio.sleep(0.01)
        if not self.is_log_open:
            raise AuditUnavailable
        self.records.append((user_id, action, dict(details)))

    async def add(self, **members: Any) -> NewKey:
        new = self.clients.keys.make()
        await self.clients.keys.add(new, "alice", members.pop("roles", (ASK, AUDIT_READER)), **members)
        return new

    async def prove(self, key: str) -> Principal:
        return await self.verifier.verify(key, await self.clients.current_revocations())

    async def reason(self, key: str, verifier: KeyVerifier | None = None) -> tuple[str, str | None]:
        with pytest.raises(KeyRefused) as caught:
            await (verifier or self.verifier).verify(key, await self.clients.current_revocations())
        assert str(caught.value) == KeyRefused.detail, "the sentence tells nothing of the reason"
        return caught.value.reason, caught.value.key_id


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    create_or_upgrade_database(tmp_path / "clients.sqlite3")
    clients = open_clients(tmp_path / "clients.sqlite3", now=lambda: NOW)
    await clients.add("alice", [ASK, AUDIT_READER])
    yield Desk(clients)
    await clients.aclose()


async def test_a_key_proves_its_client_with_the_roles_of_both(desk: Desk) -> None:
    new = await desk.add(rpm=7)
    assert await desk.prove(new.key) == Principal("alice", (ASK, AUDIT_READER), "alice", new.key_id, NEVER, "key", None, 7)
    assert (await desk.prove(new.key)).credential == f"key:{new.key_id}"
    await desk.clients.set_roles("alice", [AUDIT_READER])
    assert (await desk.prove(new.key)).roles == (AUDIT_READER,)
    await desk.clients.set_roles("alice", [ASK])
    narrow = await desk.add(roles=(AUDIT_READER,))
    assert (await desk.prove(narrow.key)).roles == (), "a role that the client has no more"
    await desk.clients.change_settings("alice", {"rpm": 5})
    assert (await desk.prove(new.key)).client_rpm == 5


async def test_every_other_key_is_refused_with_a_reason_for_the_record(desk: Desk) -> None:
    new, other = await desk.add(), make_key(lambda count: b"\x17" * count)
    ids = iter([int.from_bytes(b"\x17" * 8).to_bytes(8), b"\x99" * 32])
    forged = make_key(lambda _: next(ids))
    await desk.clients.keys.add(other, "alice", (ASK,))
    assert forged.key_id == other.key_id
    assert await desk.reason(forged.key) == ("wrong_secret", other.key_id)
    await desk.clients.revoke(new.key_id, NEVER)
    assert await desk.reason(new.key) == ("revoked", new.key_id)
    unknown = desk.clients.keys.make()
    assert await desk.reason(unknown.key) == ("unknown", unknown.key_id)
    for malformed in (new.key[:-1], "\ud800", ""):
        assert await desk.reason(malformed) == ("malformed", None)
    assert (await desk.prove(other.key)).credential_id == other.key_id
    await desk.clients.disable("alice")
    assert await desk.reason(other.key) == ("client_disabled", other.key_id)


async def test_a_known_key_needs_no_database(desk: Desk, tmp_path: Path) -> None:
    new, late = await desk.add(), await desk.add()
    await desk.verifier.verify(new.key, NOTHING_REVOKED)
    (tmp_path / "clients.sqlite3").rename(tmp_path / "away")
    await desk.clients.aclose()
    assert (await desk.verifier.verify(new.key, NOTHING_REVOKED)).client_id == "alice"
    with pytest.raises(Unavailable):
        await desk.verifier.verify(late.key, NOTHING_REVOKED)
    (tmp_path / "away").rename(tmp_path / "clients.sqlite3")
    assert (await desk.verifier.verify(late.key, NOTHING_REVOKED)).client_id == "alice"


async def test_what_was_proven_is_forgotten_when_the_database_changes(desk: Desk, tmp_path: Path) -> None:
    new = await desk.add()
    await desk.verifier.verify(new.key, NOTHING_REVOKED)
    desk.verifier.forget()
    create_or_upgrade_database(tmp_path / "other")
    for ending in ("-wal", "-shm"):
        (tmp_path / f"clients.sqlite3{ending}").unlink(missing_ok=True)
    (tmp_path / "other").rename(tmp_path / "clients.sqlite3")
    await desk.clients.reopen()
    assert await desk.reason(new.key) == ("unknown", new.key_id)


async def test_an_expired_key_is_refused_and_its_first_use_recorded_once(desk: Desk) -> None:
    new = await desk.add(expires_at=NOW + HOUR)
    desk.clock.now = NOW + HOUR - 1
    assert (await desk.prove(new.key)).expires_at == NOW + HOUR
    desk.clock.now = NOW + HOUR
    desk.is_log_open = False
    assert await desk.reason(new.key) == ("expired", new.key_id)
    assert desk.records == []
    desk.is_log_open = True
    for verifier in (desk.verifier, desk.verifier, desk.another()):
        assert await desk.reason(new.key, verifier) == ("expired", new.key_id)
        assert len(desk.records) == 1, "at the first use after the log is back"
    details = {"key_id": new.key_id, "client_id": "alice", "expires_at": "2026-09-21T15:13:20Z"}
    assert desk.records == [(None, "key.expired", details)]


async def test_of_several_workers_one_records_the_use_of_an_expired_key(desk: Desk) -> None:
    new = await desk.add(expires_at=NOW)
    await asyncio.gather(*(desk.reason(new.key, desk.another()) for _ in range(6)))
    assert [action for _, action, _ in desk.records] == ["key.expired"]
