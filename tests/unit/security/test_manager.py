"""SecurityManager over a real database and a real log: tokens, records, revocations, the security log."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app import errors
from app.audit.log import AuditLog
from app.security import SecurityManager, token_errors
from app.security import manager as module
from app.security.api_keys.form import KeyRefused
from app.security.clients.store import ClientStore, open_clients
from app.security.models import Client, ClientSettings
from app.security.oauth_errors import InvalidScope
from app.security.roles import AUDIT_READER, INTROSPECT
from app.security.security_log import SecurityLog

from ...support.client_database import make_database
from ...support.stores import open_store
from ...support.tokens import ASK, HOUR, NONCE, NOW, Clock, issuer, sign, verifier
from ...support.waiting import until

pytestmark = pytest.mark.anyio
READ = "ai.audit.reader"
ALICE = Client("alice", (ASK, READ), False, datetime.fromtimestamp(NOW, UTC))


@dataclass
class Desk:
    """A SecurityManager, what it works with, and what it has written."""

    folder: Path
    clock: Clock
    clients: ClientStore
    audit: AuditLog
    security_log: SecurityLog
    manager: SecurityManager

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "audit_log.jsonl").read_bytes().splitlines()]

    def events(self) -> list[str]:
        """The lines of the security log, without their time."""
        assert self.security_log.flush()
        path = self.folder / "security.log"
        return [line.split(" ", 1)[1] for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    make_database(tmp_path / "clients.sqlite3")
    clients = open_clients(tmp_path / "clients.sqlite3", now=lambda: NOW)
    audit, events, clock = AuditLog(open_store(tmp_path / "audit_log.jsonl")), SecurityLog(tmp_path / "security.log"), Clock()
    audit.create({})
    async with audit:
        manager = SecurityManager(issuer=issuer(clock), verifier=verifier(clock), clients=clients, audit=audit, events=events)
        yield Desk(tmp_path, clock, clients, audit, events, manager)
    await clients.aclose()
    audit.close()
    events.close()


# --- tokens ------------------------------------------------------------------------------------------


async def test_a_generated_token_proves_its_bearer(desk: Desk) -> None:
    principal = desk.manager.verify_token(desk.manager.generate_token("alice", [ASK]))
    assert (principal.user_id, principal.roles) == ("alice", (ASK,))
    assert len(desk.records()) == 1, "generate_token writes no record"


async def test_its_plain_functions_raise_value_errors(desk: Desk) -> None:
    for user_id, roles in (("al", [ASK]), ("alice", [])):
        with pytest.raises(ValueError):
            desk.manager.generate_token(user_id, roles)
    with pytest.raises(ValueError):
        desk.manager.verify_token("x.y.z")
    with pytest.raises(ValueError, match="unknown audit action"):
        await desk.manager.log_action("alice", "made.up", {})


async def test_a_granted_token_has_its_record_and_its_line(desk: Desk) -> None:
    issued = await desk.manager.grant_token(ALICE, None, request_id="0" * 32, address="127.0.0.1")
    assert desk.manager.verify_token(issued.access_token).roles == (ASK, READ)
    record = desk.records()[-1]
    assert (record["action"], record["user_id"], record["request_id"]) == ("token.issued", "alice", "0" * 32)
    details = {"jti": issued.jti, "roles": [ASK, READ], "expires_in": HOUR, "address": "127.0.0.1"}
    assert list(record["details"].items()) == list(details.items())
    assert desk.events() == [f"INFO token_issued user_id=alice jti={issued.jti} address=127.0.0.1 request_id={'0' * 32}"]
    assert issued.access_token not in str(desk.records()) + str(desk.events())


@pytest.mark.parametrize(
    ("scope", "roles"),
    [
        (ASK, (ASK,)),
        (f"{READ} {ASK}", (ASK, READ)),
        (f"{ASK} {ASK}", (ASK,)),
        (f"  {READ}  {ASK} ", (ASK, READ)),
        (None, (ASK, READ)),
    ],
)
async def test_a_scope_names_some_of_the_clients_roles(desk: Desk, scope: str | None, roles: tuple[str, ...]) -> None:
    issued = await desk.manager.grant_token(ALICE, scope, request_id="0" * 32, address=None)
    assert issued.scope == " ".join(roles)


@pytest.mark.parametrize("scope", ["ai.admin", f"{ASK} ai.admin", "", "  ", f"{ASK}\t{READ}", f"{ASK}\n"])
async def test_a_scope_that_names_something_else_is_refused_unrecorded(desk: Desk, scope: str) -> None:
    with pytest.raises(InvalidScope):
        await desk.manager.grant_token(ALICE, scope, request_id="0" * 32, address=None)
    assert len(desk.records()) == 1


async def test_no_token_is_granted_without_its_record(desk: Desk) -> None:
    (desk.folder / "audit_log.jsonl").rename(desk.folder / "away")
    with pytest.raises(errors.AuditUnavailable):
        await desk.manager.grant_token(ALICE, None, request_id="0" * 32, address=None)
    assert desk.events() == []


# --- the security log --------------------------------------------------------------------------------


async def test_an_answer_is_logged_with_its_tokens_if_they_are_known(desk: Desk) -> None:
    desk.manager.log_answered("alice", "0" * 32, "gpt-4o mini", (7, 9))
    desk.manager.log_answered("alice", "1" * 32, "small", None)
    assert desk.events() == [
        f'INFO ask_answered user_id=alice request_id={"0" * 32} model="gpt-4o mini" input_tokens=7 output_tokens=9',
        f"INFO ask_answered user_id=alice request_id={'1' * 32} model=small",
    ]


# --- revocations -------------------------------------------------------------------------------------


async def test_revoked_disabled_and_expired_tokens_are_found_in_the_cache(desk: Desk) -> None:
    manager = desk.manager
    for name in ("carol", "david"):
        await desk.clients.add(name, [ASK])
    carol, david, erika = (manager.generate_token(name, [ASK]) for name in ("carol", "david", "erika"))
    jti = [manager.verify_token(token).credential_id for token in (carol, david, erika)]
    await desk.clients.revoke(jti[0], NOW + HOUR)
    await desk.clients.disable("david")
    assert manager.verify_token(carol).user_id == "carol", "the set in memory is as old as its last load"
    await manager.load_revocations()
    with pytest.raises(token_errors.TokenRevoked):
        manager.verify_token(carol)
    with pytest.raises(token_errors.ClientDisabled):
        manager.verify_token(david)
    assert manager.verify_token(erika).user_id == "erika"
    desk.clock.now = NOW + HOUR
    for _ in range(2):
        with pytest.raises(token_errors.TokenExpired):
            manager.verify_token(erika)


async def test_tokens_of_an_enabled_client_count_again_a_lost_role_does_not(desk: Desk) -> None:
    manager = desk.manager
    await desk.clients.add("carol", [ASK, AUDIT_READER])
    token = manager.generate_token("carol", [ASK, AUDIT_READER])
    await desk.clients.disable("carol")
    await manager.load_revocations()
    with pytest.raises(token_errors.ClientDisabled):
        manager.verify_token(token)
    await desk.clients.enable("carol")
    await desk.clients.set_roles("carol", [AUDIT_READER])
    await manager.load_revocations()
    assert manager.verify_token(token).roles == (AUDIT_READER,)
    await desk.clients.set_roles("carol", [ASK, AUDIT_READER])
    await manager.load_revocations()
    assert manager.verify_token(token).roles == (ASK, AUDIT_READER)


async def test_a_bearer_is_a_token_or_a_key_of_the_database_of_now(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELOAD_SECONDS", 0.002)
    manager, clients = desk.manager, desk.clients
    await clients.add("carol", [ASK])
    new = clients.keys.make()
    await clients.keys.add(new, "carol", (ASK,))
    await manager.load_revocations()
    assert (await manager.verify_bearer(new.key)).credential == f"key:{new.key_id}"
    assert (await manager.verify_bearer(manager.generate_token("carol", [ASK]))).kind == "token"
    for wrong in ("saa_", "saa_x.y.z", new.key[:-1]):
        with pytest.raises(KeyRefused):
            await manager.verify_bearer(wrong)
    with pytest.raises(token_errors.TokenMalformed):
        await manager.verify_bearer(new.key[1:])
    following = asyncio.create_task(manager.follow_revocations())
    with sqlite3.connect(desk.folder / "clients.sqlite3") as database:  # as an older state would be
        database.execute("DELETE FROM keys")
        database.execute("DELETE FROM revocations")
        database.execute("UPDATE generation SET value = value - 2")
    reasons = list[str]()

    async def ask_again() -> None:
        while not reasons:
            try:
                await manager.verify_bearer(new.key)
            except KeyRefused as error:
                reasons.append(error.reason)
            await asyncio.sleep(0.01)

    await asyncio.wait_for(ask_again(), 30)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert reasons == ["unknown"]


async def test_a_clients_own_lifetime_holds_for_tokens_made_before(desk: Desk) -> None:
    await desk.clients.add("carol", [ASK], ClientSettings(token_seconds=2 * HOUR))
    await desk.manager.load_revocations()
    client = await desk.clients.verify_exists("carol")
    issued = await desk.manager.grant_token(client, None, request_id="0" * 32, address=None)
    assert issued.expires_in == 2 * HOUR
    assert desk.manager.verify_token(issued.access_token).expires_at == NOW + 2 * HOUR
    await desk.clients.change_settings("carol", {"token_seconds": HOUR})
    await desk.manager.load_revocations()
    with pytest.raises(token_errors.TokenTooLong):
        desk.manager.verify_token(issued.access_token)


def is_refused(desk: Desk, token: str) -> bool:
    try:
        desk.manager.verify_token(token)
    except token_errors.TokenRevoked:
        return True
    return False


async def test_a_change_is_followed_and_a_lost_database_is_reported_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELOAD_SECONDS", 0.002)
    token, read = sign(), desk.clients.generation

    tries = list[int]()

    async def unreadable() -> int:
        tries.append(1)
        raise errors.Unavailable("The database is gone.")

    following = asyncio.create_task(desk.manager.follow_revocations())
    assert not is_refused(desk, token)
    await desk.clients.revoke(NONCE, NOW + HOUR)
    await until(lambda: is_refused(desk, token))
    monkeypatch.setattr(desk.clients, "generation", unreadable)
    await until(lambda: not desk.manager.is_following)
    await until(lambda: len(tries) > 3)
    assert is_refused(desk, token), "the last known revocations apply"
    monkeypatch.setattr(desk.clients, "generation", read)
    await until(lambda: desk.manager.is_following)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert desk.events() == [
        'ERROR clients_database_unreachable reason="The database is gone."',
        "INFO clients_database_back",
    ]


# --- what a client does with its own tokens and keys -------------------------------------------------

ORIGIN: dict[str, Any] = {"request_id": "0" * 32, "address": "192.0.2.1"}


async def clients_with_keys(desk: Desk, *names: str) -> list[tuple[Client, str]]:
    found = []
    for name in names:
        await desk.clients.add(name, [ASK])
        new = desk.clients.keys.make()
        await desk.clients.keys.add(new, name, (ASK,))
        found.append((await desk.clients.verify_exists(name), new.key))
    await desk.manager.load_revocations()
    return found


async def test_a_client_revokes_its_own_token_and_key_each_recorded_first(desk: Desk) -> None:
    ((carol, key),) = await clients_with_keys(desk, "carol")
    token = desk.manager.generate_token("carol", [ASK])
    for credential in (token, key):
        principal = await desk.manager.verify_bearer(credential)
        await desk.manager.revoke_credential(carol.client_id, credential, **ORIGIN)
        with pytest.raises(token_errors.TokenError):
            await desk.manager.verify_bearer(credential)
        assert principal.credential_id in (await desk.clients.current_revocations()).revoked
        await desk.manager.revoke_credential(carol.client_id, credential, **ORIGIN)  # has no second record
    jti, key_id = desk.manager._verifier.proof_of(token).principal.credential_id, key[4:15]
    assert [(r["user_id"], r["action"], list(r["details"].items())) for r in desk.records()[1:]] == [
        ("carol", "token.revoked", [("jti", jti), ("by", "client"), ("address", "192.0.2.1")]),
        (
            "carol",
            "key.revoked",
            [("key_id", key_id), ("client_id", "carol"), ("by", "client"), ("address", "192.0.2.1")],
        ),
    ]
    assert [line.split()[1:3] for line in desk.events()] == [
        ["token_revoked", "user_id=carol"],
        ["key_revoked", "user_id=carol"],
    ]


async def test_a_credential_that_is_revoked_eight_times_at_once_has_one_record(desk: Desk) -> None:
    ((carol, key),) = await clients_with_keys(desk, "carol")
    token = desk.manager.generate_token("carol", [ASK])
    for credential in (token, key):
        await asyncio.gather(*(desk.manager.revoke_credential(carol.client_id, credential, **ORIGIN) for _ in range(8)))
    assert [record["action"] for record in desk.records()[1:]] == ["token.revoked", "key.revoked"]
    assert [line.split()[1] for line in desk.events()] == ["token_revoked", "key_revoked"]


async def test_without_its_record_nothing_is_revoked(desk: Desk) -> None:
    ((carol, key),) = await clients_with_keys(desk, "carol")
    desk.audit.close_until_writable("a test closed it")
    for credential in (key, desk.manager.generate_token("carol", [ASK])):
        with pytest.raises(errors.AuditUnavailable):
            await desk.manager.revoke_credential(carol.client_id, credential, **ORIGIN)
        assert (await desk.manager.verify_bearer(credential)).user_id == "carol"
    assert (await desk.clients.current_revocations()).revoked == frozenset()


async def test_what_is_foreign_unknown_or_expired_is_left_alone(desk: Desk) -> None:
    (carol, key), (_, other_key) = await clients_with_keys(desk, "carol", "david")
    other, mine = desk.manager.generate_token("david", [ASK]), desk.manager.generate_token("carol", [ASK])
    unknown = ["", "x", "a.b.c", mine[:-2] + "xx", key[:-1], "saa_" + "0" * 60, "\ud800", "x" * 9_000]
    for credential in (other, other_key, *unknown):
        await desk.manager.revoke_credential(carol.client_id, credential, **ORIGIN)
    desk.clock.now += HOUR
    await desk.manager.revoke_credential(carol.client_id, mine, **ORIGIN)
    assert len(desk.records()) == 1
    assert (await desk.clients.current_revocations()).revoked == frozenset()


async def test_a_token_that_lives_too_long_now_can_be_revoked_still(desk: Desk) -> None:
    ((carol, _),) = await clients_with_keys(desk, "carol")
    token = desk.manager._issuer.issue("carol", [ASK], 2 * HOUR).access_token
    with pytest.raises(token_errors.TokenTooLong):
        desk.manager.verify_token(token)
    await desk.manager.revoke_credential(carol.client_id, token, **ORIGIN)
    assert len((await desk.clients.current_revocations()).revoked) == 1


async def test_a_client_learns_of_its_own_and_with_the_role_of_everyones(desk: Desk) -> None:
    (carol, key), (_, other_key) = await clients_with_keys(desk, "carol", "david")
    mine, other = desk.manager.generate_token("carol", [ASK]), desk.manager.generate_token("david", [ASK])
    reader = Client("reader", (INTROSPECT,), False, ALICE.created_at)

    async def known_to(client: Client) -> list[str | None]:
        found = [await desk.manager.introspect(client, one) for one in (mine, key, other, other_key, "a.b.c", key[:-1])]
        return [None if one is None else one.user_id for one in found]

    assert await known_to(carol) == ["carol", "carol", None, None, None, None]
    assert await known_to(reader) == ["carol", "carol", "david", "david", None, None]
    await desk.manager.revoke_credential(carol.client_id, mine, **ORIGIN)
    await desk.clients.disable("david")
    await desk.manager.load_revocations()
    assert await known_to(reader) == [None, "carol", None, None, None, None]
