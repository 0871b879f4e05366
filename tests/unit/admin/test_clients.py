"""What an operator does is recorded before it is done; what is refused leaves no record and changes nothing."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from app.admin import clients, keys
from app.audit.log import AuditLog
from app.errors import AuditUnavailable, ConfigError, InvalidRequest, Unavailable
from app.security.models import ClientSettings
from app.security.roles import ASK, AUDIT_READER
from app.security.token_errors import InvalidRoles, InvalidUser

from ...support.installation import LOG, install

JTI = "0123456789abcdef" * 2


@pytest.fixture
def installed(place: Path) -> None:
    install()


def records() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LOG.read_text().splitlines()]


def rows(query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect("logs/clients.sqlite3")
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


@pytest.mark.usefixtures("installed")
def test_each_change_is_recorded_with_the_operator_as_its_author() -> None:
    added = asyncio.run(clients.add_client("carol", [ASK, AUDIT_READER, ASK]))
    rotated = asyncio.run(clients.rotate_client("carol"))
    asyncio.run(clients.disable_client("carol"))
    asyncio.run(clients.enable_client("carol"))
    roles = asyncio.run(clients.set_roles("carol", [AUDIT_READER]))
    asyncio.run(clients.revoke_token(JTI))
    assert roles == (AUDIT_READER,)
    assert (added.client_id, added.roles) == ("carol", (ASK, AUDIT_READER))
    assert (rotated.client_id, rotated.roles) == ("carol", (ASK, AUDIT_READER))
    assert [(one["action"], one["user_id"], one["details"]) for one in records()[1:]] == [
        ("client.added", None, {"client_id": "carol", "roles": [ASK, AUDIT_READER], "by": "operator"}),
        ("client.rotated", None, {"client_id": "carol", "by": "operator"}),
        ("client.disabled", None, {"client_id": "carol", "by": "operator"}),
        ("client.enabled", None, {"client_id": "carol", "by": "operator"}),
        ("client.roles_set", None, {"client_id": "carol", "roles": [AUDIT_READER], "by": "operator"}),
        ("token.revoked", None, {"jti": JTI, "by": "operator"}),
    ]
    events = [line.split(" ", 3)[2:] for line in Path("logs/security.log").read_text().splitlines()]
    assert events == [
        ["client_added", "client_id=carol"],
        ["client_rotated", "client_id=carol"],
        ["client_disabled", "client_id=carol"],
        ["client_enabled", "client_id=carol"],
        ["client_roles_set", "client_id=carol"],
        ["token_revoked", f"jti={JTI}"],
    ]


@pytest.mark.usefixtures("installed")
def test_a_secret_is_new_each_time_and_stands_nowhere() -> None:
    added = asyncio.run(clients.add_client("carol", [ASK]))
    rotated = asyncio.run(clients.rotate_client("carol"))
    assert added.secret != rotated.secret
    for secret in (added.secret, rotated.secret):
        assert secret not in repr(added) + repr(rotated)
        assert not [path for path in Path("logs").rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]


@pytest.mark.usefixtures("installed")
def test_clients_are_listed_by_name_with_their_state() -> None:
    for name in ("dave", "carol"):
        asyncio.run(clients.add_client(name, [ASK]))
    asyncio.run(clients.disable_client("dave"))
    before = LOG.read_bytes()
    listed = asyncio.run(clients.list_clients())
    assert [(one.client_id, one.roles, one.disabled) for one in listed] == [("carol", (ASK,), False), ("dave", (ASK,), True)]
    assert LOG.read_bytes() == before


@pytest.mark.usefixtures("installed")
def test_a_revocation_outlives_the_longest_token_that_any_setting_allows() -> None:
    asyncio.run(clients.revoke_token(JTI))
    [(jti, revoked_at, expires_at)] = rows("SELECT jti, revoked_at, expires_at FROM revocations")
    assert jti == JTI
    assert abs(expires_at - revoked_at - 30 * 24 * 3600) <= 2


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a name that is taken": (lambda: clients.add_client("carol", [ASK]), InvalidRequest, "exists already"),
    "a name that is none": (lambda: clients.add_client("al", [ASK]), InvalidUser, "3 to 32"),
    "no role": (lambda: clients.add_client("erin", []), InvalidRoles, "Roles are"),
    "disable nobody": (lambda: clients.disable_client("nobody"), InvalidRequest, "no such client"),
    "rotate nobody": (lambda: clients.rotate_client("nobody"), InvalidRequest, "no such client"),
    "rotate a disabled one": (lambda: clients.rotate_client("gone"), InvalidRequest, "clients enable gone enables it again"),
    "enable nobody": (lambda: clients.enable_client("nobody"), InvalidRequest, "no such client"),
    "roles for nobody": (lambda: clients.set_roles("nobody", [ASK]), InvalidRequest, "no such client"),
    "no roles": (lambda: clients.set_roles("carol", []), InvalidRoles, "Roles are"),
    "a mistyped role": (lambda: clients.add_client("erin", ["ai.playground.usr"]), InvalidRequest, f"Did you mean {ASK}"),
    "a mistyped new role": (lambda: clients.set_roles("carol", [ASK, "audit"]), InvalidRequest, "--allow-unknown-role"),
    "a second secret for a disabled one": (lambda: clients.add_secret("gone"), InvalidRequest, "clients enable gone"),
    "a third secret": (lambda: clients.add_secret("twice"), InvalidRequest, "clients remove-secret twice"),
    "the only secret removed": (lambda: clients.remove_secret("carol"), InvalidRequest, "has one secret"),
    "settings for nobody": (lambda: clients.change_settings("nobody", rpm=1), InvalidRequest, "no such client"),
    "revoke what is no jti": (lambda: clients.revoke_token(JTI.upper()), InvalidRequest, "32 hex digits"),
}


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_no_record(name: str) -> None:
    for one in ("carol", "gone", "twice"):
        asyncio.run(clients.add_client(one, [ASK]))
    asyncio.run(clients.add_secret("twice"))
    asyncio.run(clients.disable_client("gone"))
    log, stored = LOG.read_bytes(), rows("SELECT * FROM clients")
    work, kind, sentence = REFUSED[name]
    with pytest.raises(kind, match=sentence):
        asyncio.run(work())
    assert LOG.read_bytes() == log
    assert rows("SELECT * FROM clients") == stored


@pytest.mark.usefixtures("installed")
def test_nothing_is_done_that_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(clients.add_client("carol", [ASK]))
    stored = rows("SELECT * FROM clients")

    async def fail(*_: object, **__: object) -> None:
        raise AuditUnavailable

    monkeypatch.setattr(AuditLog, "record", fail)
    changes: list[Coroutine[Any, Any, Any]] = [
        clients.add_client("dave", [ASK]),
        clients.rotate_client("carol"),
        clients.disable_client("carol"),
        clients.enable_client("carol"),
        clients.set_roles("carol", [AUDIT_READER]),
        clients.change_settings("carol", rpm=1),
        clients.add_secret("carol"),
        clients.revoke_token(JTI),
    ]
    for change in changes:
        with pytest.raises(AuditUnavailable):
            asyncio.run(change)
    assert rows("SELECT * FROM clients") == stored
    assert rows("SELECT * FROM revocations") == []
    assert "client_disabled" not in Path("logs/security.log").read_text()


@pytest.mark.usefixtures("installed")
def test_a_change_that_the_database_refuses_is_not_recorded() -> None:
    key = asyncio.run(clients.add_client("carol", [ASK], with_key=True)).key
    assert key is not None
    asyncio.run(clients.add_secret("carol"))
    with sqlite3.connect("logs/clients.sqlite3") as database:
        database.execute("CREATE TRIGGER full BEFORE UPDATE ON generation BEGIN SELECT RAISE(FAIL, 'full'); END")
    database.close()
    log = LOG.read_bytes()
    for change in (
        clients.add_client("dave", [ASK]),
        clients.rotate_client("carol"),
        clients.disable_client("carol"),
        clients.enable_client("carol"),
        clients.set_roles("carol", [AUDIT_READER]),
        clients.remove_secret("carol"),
        keys.add_key("carol"),
    ):
        with pytest.raises(Unavailable):
            asyncio.run(change)
    assert LOG.read_bytes() == log


@pytest.mark.usefixtures("installed")
def test_what_is_revoked_already_has_no_second_record() -> None:
    key = asyncio.run(clients.add_client("carol", [ASK], with_key=True)).key
    assert key is not None
    for _ in range(2):
        asyncio.run(clients.revoke_token(JTI))
        asyncio.run(keys.revoke_key(key.key_id))
    assert [one["action"] for one in records()[3:]] == ["token.revoked", "key.revoked"]


@pytest.mark.usefixtures("installed")
def test_settings_and_secrets_are_recorded_as_they_are_then() -> None:
    asyncio.run(clients.add_client("carol", [ASK], settings=ClientSettings(rpm=600), with_key=True))
    asyncio.run(clients.change_settings("carol", token_seconds=60))
    asyncio.run(clients.change_settings("carol", rpm=None))
    asyncio.run(clients.add_secret("carol"))
    asyncio.run(clients.remove_secret("carol"))
    [key_id] = rows("SELECT key_id FROM keys")[0]
    key = {"key_id": key_id, "client_id": "carol", "roles": [ASK], "name": None, "rpm": None, "expires_at": None}
    by = {"by": "operator"}
    assert [(one["action"], list(one["details"].items())) for one in records()[1:]] == [
        ("client.added", list({"client_id": "carol", "roles": [ASK], "rpm": 600, **by}.items())),
        ("key.added", list({**key, **by}.items())),
        ("client.settings_set", list({"client_id": "carol", "token_seconds": 60, "rpm": 600, "front_end": False, **by}.items())),
        ("client.settings_set", list({"client_id": "carol", "token_seconds": 60, "rpm": None, "front_end": False, **by}.items())),
        ("client.secret_added", list({"client_id": "carol", **by}.items())),
        ("client.secret_removed", list({"client_id": "carol", "which": "older", **by}.items())),
    ]


def test_before_init_nothing_can_be_done() -> None:
    with pytest.raises(ConfigError, match="run python -m app init"):
        asyncio.run(clients.disable_client("carol"))
