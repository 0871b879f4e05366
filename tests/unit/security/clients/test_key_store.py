"""The keys in a real SQLite file: only a digest is stored, and each is listed with what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.errors import AuditUnavailable, InvalidRequest
from app.kit.moments import moment
from app.security.api_keys.form import NewKey
from app.security.clients.database import Where
from app.security.clients.migrations import create_or_upgrade_database
from app.security.clients.store import ClientStore, open_clients
from app.security.models import NEVER, ApiKey
from app.security.roles import ASK, AUDIT_READER

pytestmark = pytest.mark.anyio
NOW = 1_790_000_000


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ClientStore]:
    create_or_upgrade_database(tmp_path / "clients.sqlite3")
    store = open_clients(tmp_path / "clients.sqlite3", now=lambda: NOW)
    for name in ("alice", "bobby"):
        await store.add(name, [ASK])
    yield store
    await store.aclose()


async def test_only_the_sha256_of_a_key_is_stored(store: ClientStore, tmp_path: Path) -> None:
    new = store.keys.make()
    await store.keys.add(new, "alice", (ASK,))
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert hashlib.sha256(new.key.encode()).hexdigest().encode() in files
    assert new.key.encode() not in files
    assert new.key[15:].encode() not in files


async def test_keys_are_listed_with_all_but_their_secret(store: ClientStore) -> None:
    first, second, other = (store.keys.make() for _ in range(3))
    await store.keys.add(first, "alice", (ASK, AUDIT_READER), name="laptop", rpm=9, expires_at=NOW + 60)
    await store.keys.add(other, "bobby", (ASK,))
    await store.keys.add(second, "alice", (ASK,))
    listed = await store.keys.list_all("alice")
    plain = ApiKey(second.key_id, "alice", (ASK,), None, None, moment(NOW), None)
    full = ApiKey(first.key_id, "alice", (ASK, AUDIT_READER), "laptop", 9, moment(NOW), moment(NOW + 60))
    assert sorted(listed, key=lambda one: one.name or "") == [plain, full]
    assert [one.client_id for one in await store.keys.list_all()] == ["alice", "alice", "bobby"]
    assert [full.state(moment(NOW + seconds)) for seconds in (59, 60)] == ["active", "expired"]
    for call in (store.keys.list_all("nobody"), store.keys.add(store.keys.make(), "nobody", (ASK,))):
        with pytest.raises(InvalidRequest, match="no such client"):
            await call


async def test_a_revoked_key_stays_revoked_whatever_the_clock_says(store: ClientStore, tmp_path: Path) -> None:
    lasting, short = store.keys.make(), store.keys.make()
    await store.keys.add(lasting, "alice", (ASK,))
    await store.keys.add(short, "alice", (ASK,), expires_at=NOW + 60)
    before = await store.generation()
    for new in (lasting, short, short):
        await store.revoke(new.key_id, (await store.keys.verify_exists(new.key_id)).ends_at)
    assert await store.generation() == before + 3
    assert (await store.current_revocations()).expiries == {lasting.key_id: NEVER, short.key_id: NOW + 60}
    listed = {one.key_id: one for one in await store.keys.list_all()}
    assert [listed[new.key_id].state(moment(NOW + 99)) for new in (lasting, short)] == ["revoked", "revoked"]
    assert listed[short.key_id].revoked_at == moment(NOW)
    ahead = open_clients(tmp_path / "clients.sqlite3", now=lambda: NOW + 10**9)
    await ahead.revoke(lasting.key_id, (await ahead.keys.verify_exists(lasting.key_id)).ends_at)
    assert (await ahead.current_revocations()).revoked == {lasting.key_id, short.key_id}
    await ahead.aclose()


async def test_what_is_no_id_of_a_key_is_refused_without_an_echo(store: ClientStore) -> None:
    new = store.keys.make()
    no_id = "A key's id is the 11 characters after saa_: send no more of it."
    unknown = "There is no such key. python -m app keys list shows all keys."
    for wrong, sentence in ((new.key_id, unknown), (new.key, no_id), ("", no_id), ("\ud800", no_id)):
        with pytest.raises(InvalidRequest) as caught:
            await store.keys.verify_exists(wrong)
        assert caught.value.detail == sentence


async def test_keys_are_listed_by_client_and_age(where: Where) -> None:
    times = iter([NOW, NOW, NOW + 1, NOW, NOW + 2, NOW])  # of two clients, then of four keys
    store = open_clients(where, now=lambda: next(times))
    for name in ("bobby", "alice"):
        await store.add(name, [ASK])
    for key_id, name in (("c", "alice"), ("b", "alice"), ("a", "alice"), ("d", "bobby")):
        await store.keys.add(NewKey(key_id * 11, f"saa_{key_id}"), name, (ASK,))
    assert [one.key_id[0] for one in await store.keys.list_all()] == ["b", "c", "a", "d"]
    await store.aclose()


async def test_a_lookup_gives_one_row_in_any_case(store: ClientStore) -> None:
    new = store.keys.make()
    await store.keys.add(new, "alice", (ASK,))
    assert (await store.keys.find(new.key_id)).key_id == new.key_id
    decoy = await store.keys.find(store.keys.make().key_id)
    assert (decoy.key_id, decoy.sha256) == ("", "0" * 64)


async def test_the_first_use_after_its_end_is_noted_without_a_change(store: ClientStore) -> None:
    new, other = store.keys.make(), store.keys.make()
    for one in (new, other):
        await store.keys.add(one, "alice", (ASK,), expires_at=NOW)
    before = await store.generation()
    with pytest.raises(AuditUnavailable):
        async with store.keys.noting_expiry(new.key_id):
            raise AuditUnavailable
    for is_expected in (True, False):
        async with store.keys.noting_expiry(new.key_id) as is_first:
            assert is_first is is_expected
    async with store.keys.noting_expiry(other.key_id) as is_first:
        assert is_first, "each key for itself"
    assert await store.generation() == before, "no process has to read anything again"
