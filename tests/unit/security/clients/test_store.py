"""Clients and revocations on a real SQLite file."""

import asyncio
import hashlib
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.errors import InvalidRequest
from app.security.clients.database import Where
from app.security.clients.store import ClientStore, open_clients
from app.security.models import ClientSettings, Revocations
from app.security.oauth_errors import InvalidClient
from app.security.roles import ASK, AUDIT_READER
from app.security.token_errors import InvalidUser

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000.5
JTI = "0123456789abcdef" * 2
NO_USER_IDS = (
    "",
    "al",
    "x" * 33,
    "x" * 200,
    "alice\n",
    "älice",
    "ali\0ce",
    "\ud800abc",
    "alice'--",
    "a%b",
    '"; DROP TABLE',
)


@pytest.fixture
async def store(where: Where) -> AsyncIterator[ClientStore]:
    store = open_clients(where, now=lambda: NOW)
    yield store
    await store.aclose()


async def refusal(store: ClientStore, client_id: str, secret: str) -> tuple[str, str | None]:
    with pytest.raises(InvalidClient) as caught:
        await store.authenticate(client_id, secret)
    assert str(caught.value) == InvalidClient.detail, "the sentence tells nothing of the reason"
    return caught.value.reason, caught.value.client_id


async def test_an_added_client_is_proven_by_its_secret_and_by_nothing_else(store: ClientStore) -> None:
    secret = await store.add("alice", [ASK, ASK])
    client = await store.authenticate("alice", secret)
    assert (client.client_id, client.roles, client.disabled) == ("alice", (ASK,), False)
    assert client.created_at == datetime.fromtimestamp(int(NOW), UTC)
    assert await store.verify_exists("alice") == client
    assert await store.list_all() == [client]
    for wrong in ("", secret[:-1], secret + "\n", secret.swapcase(), "\ud800", "é", "0" * 64, "x" * 1_000_000):
        assert await refusal(store, "alice", wrong) == ("wrong_secret", "alice")
    assert await refusal(store, "alicf", secret) == ("unknown_client", "alicf")


async def test_no_secret_is_kept_only_its_sha256(tmp_path: Path, path: Path) -> None:
    store = open_clients(path, random_bytes=lambda count: bytes(range(count)))
    secret = await store.add("alice", [ASK])
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    await store.aclose()
    assert secret == "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "256 bits, base64url, no padding"
    assert hashlib.sha256(secret.encode()).hexdigest().encode() in files
    assert secret.encode() not in files
    assert bytes(range(32)) not in files


async def test_two_secrets_differ_by_default(store: ClientStore) -> None:
    assert await store.add("alice", [ASK]) != await store.add("bobby", [ASK])


@pytest.mark.parametrize("client_id", NO_USER_IDS, ids=ascii)
async def test_an_ill_formed_id_is_never_added_and_reads_as_unknown(store: ClientStore, client_id: str) -> None:
    with pytest.raises(InvalidUser):
        await store.add(client_id, [ASK])
    assert await refusal(store, client_id, "secret") == ("unknown_client", client_id), "the record masks it where it looks secret"
    with pytest.raises(InvalidRequest, match="no such client"):
        await store.disable(client_id)
    with pytest.raises(InvalidRequest, match="no such client"):
        await store.rotate(client_id)
    assert await store.list_all() == []
    assert await store.generation() == 0


async def test_a_name_is_given_once_and_the_first_secret_survives_the_second_try(store: ClientStore) -> None:
    secret = await store.add("alice", [ASK])
    with pytest.raises(InvalidRequest, match=r"exists already.*clients rotate alice"):
        await store.add("alice", [AUDIT_READER])
    assert (await store.authenticate("alice", secret)).roles == (ASK,)
    assert await store.generation() == 1


async def test_only_its_secret_shows_that_a_client_is_disabled_for_good(store: ClientStore) -> None:
    secret = await store.add("alice", [ASK])
    await store.disable("alice")
    await store.disable("alice")
    assert await refusal(store, "alice", secret) == ("client_disabled", "alice")
    assert await refusal(store, "alice", "guess") == ("wrong_secret", "alice")
    with pytest.raises(InvalidRequest, match="disabled"):
        await store.rotate("alice")
    assert (await store.current_revocations()).disabled == {"alice"}


async def test_rotation_kills_the_old_secret_at_once(store: ClientStore) -> None:
    old = await store.add("alice", [ASK])
    new = await store.rotate("alice")
    assert await refusal(store, "alice", old) == ("wrong_secret", "alice")
    assert (await store.authenticate("alice", new)).roles == (ASK,)


async def test_two_secrets_work_until_one_of_them_is_removed(store: ClientStore) -> None:
    first = await store.add("alice", [ASK])
    with pytest.raises(InvalidRequest, match="has one secret"):
        await store.remove_secret("alice")
    second = await store.add_secret("alice")
    with pytest.raises(InvalidRequest, match=r"has two secrets.*clients remove-secret alice"):
        await store.add_secret("alice")
    for secret in (first, second):
        assert (await store.authenticate("alice", secret)).secrets == 2
    await store.remove_secret("alice")
    assert await refusal(store, "alice", first) == ("wrong_secret", "alice")
    third = await store.add_secret("alice")
    await store.remove_secret("alice", newer=True)
    assert await refusal(store, "alice", third) == ("wrong_secret", "alice")
    assert (await store.authenticate("alice", second)).secrets == 1
    await store.add_secret("alice")
    last = await store.rotate("alice")
    assert await refusal(store, "alice", second) == ("wrong_secret", "alice")
    assert (await store.authenticate("alice", last)).secrets == 1


async def test_a_clients_own_settings_are_known_everywhere(store: ClientStore) -> None:
    await store.add("alice", [ASK], ClientSettings(token_seconds=60))
    await store.add("bobby", [ASK])
    assert await store.change_settings("alice", {"rpm": 9}) == ClientSettings(token_seconds=60, rpm=9)
    assert await store.change_settings("alice", {"token_seconds": None}) == ClientSettings(rpm=9)
    assert (await store.current_revocations()).settings == {"alice": ClientSettings(rpm=9)}
    assert (await store.change_settings("alice", {"front_end": True})).front_end
    assert (await store.verify_exists("alice")).settings.front_end


@pytest.mark.parametrize(
    ("jti", "expires_at"),
    [("", 1), (JTI.upper(), 1), (JTI + "\n", 1), ("' OR 1=1 --", 1), (JTI, True), (JTI, 1.5), (JTI, -1), (JTI, 2**63)],
)
async def test_a_revocation_that_names_no_token_is_refused(store: ClientStore, jti: str, expires_at: int) -> None:
    with pytest.raises(InvalidRequest):
        await store.revoke(jti, expires_at)
    assert await store.generation() == 0


async def test_of_revocations_at_one_time_the_first_alone_is_recorded(where: Where) -> None:
    stores, recorded = [open_clients(where) for _ in range(4)], list[str]()

    async def record() -> None:
        recorded.append(JTI)
        await asyncio.sleep(0.01)  # the others wait for it

    await asyncio.gather(*(store.revoke(JTI, 2**40 + number, record) for number, store in enumerate(stores)))
    assert recorded == [JTI]
    assert (await stores[0].current_revocations()).expiries == {JTI: 2**40 + 3}
    for store in stores:
        await store.aclose()


async def test_two_changes_of_a_clients_settings_are_both_made(store: ClientStore) -> None:
    await store.add("alice", [ASK])
    await asyncio.gather(*(store.change_settings("alice", change) for change in ({"rpm": 9}, {"token_seconds": 60})))
    assert (await store.verify_exists("alice")).settings == ClientSettings(token_seconds=60, rpm=9)


async def test_every_change_moves_the_generation_and_another_store_sees_it(store: ClientStore, where: Where) -> None:
    other = open_clients(where)
    seen = [await other.generation()]
    for change in (
        store.add("alice", [ASK]),
        store.rotate("alice"),
        store.revoke(JTI, 2**40),
        store.disable("alice"),
        store.enable("alice"),
        store.set_roles("alice", [AUDIT_READER, ASK]),
        store.disable("alice"),
    ):
        await change
        seen.append(await other.generation())
    assert seen == [0, 1, 2, 3, 4, 5, 6, 7]
    denied = await other.current_revocations()
    assert denied == Revocations(7, frozenset([JTI]), frozenset(["alice"]), {"alice": frozenset([ASK, AUDIT_READER])})
    await other.aclose()


async def test_a_cancelled_change_is_whole_or_absent_and_holds_no_lock(store: ClientStore) -> None:
    for delay in range(10):
        change = asyncio.create_task(store.add(f"client{delay}", [ASK]))
        await asyncio.sleep(delay / 2000)
        change.cancel()
        await asyncio.wait([change])
    await store.add("alice", [ASK])
    assert await store.generation() == len(await store.list_all())


@pytest.mark.slow
def test_who_is_cancelled_while_a_file_is_opened_waits_for_its_thread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would meet an event loop that is closed, and end without closing the file."""
    failed: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)
    monkeypatch.setattr(sqlite3, "connect", on_a_slow_disk(sqlite3.connect))

    async def leave(turns: int) -> None:
        store = open_clients(path)
        look = asyncio.create_task(store.list_all())
        for _ in range(turns):
            await asyncio.sleep(0)
        look.cancel()
        await asyncio.wait([look])
        await store.aclose()

    before = set(threading.enumerate())
    for turns in range(10):
        asyncio.run(leave(turns))
    for thread in set(threading.enumerate()) - before:
        thread.join()
    assert failed == []


def on_a_slow_disk(connect: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
    def slow(*words: Any, **options: Any) -> sqlite3.Connection:
        time.sleep(0.02)
        return connect(*words, **options)

    return slow
