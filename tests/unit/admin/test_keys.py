"""What an operator does to keys is recorded before it is done, and never with a secret."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from app.admin import clients, keys
from app.errors import InvalidRequest
from app.security.roles import ASK, AUDIT_READER
from app.security.token_errors import InvalidRoles

from ...support.installation import LOG, install


@pytest.fixture
def alice(place: Path) -> None:
    install()
    asyncio.run(clients.add_client("alice", [ASK, AUDIT_READER]))


def records() -> list[tuple[str, dict[str, Any]]]:
    return [(one["action"], one["details"]) for one in map(json.loads, LOG.read_text().splitlines())][2:]


@pytest.mark.usefixtures("alice")
def test_a_key_is_recorded_listed_and_revoked_without_its_secret() -> None:
    plain = asyncio.run(keys.add_key("alice"))
    added = asyncio.run(keys.add_key("alice", [ASK], name="laptop", rpm=9, expires_in=86_400))
    asyncio.run(keys.revoke_key(added.key_id))
    assert plain.roles == (ASK, AUDIT_READER)
    assert added.expires_at is not None
    expires_at = f"{added.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    details = {"key_id": added.key_id, "client_id": "alice", "roles": [ASK], "name": "laptop", "rpm": 9, "expires_at": expires_at}
    assert [(action, json.dumps(found)) for action, found in records()[1:]] == [
        ("key.added", json.dumps({**details, "by": "operator"})),
        ("key.revoked", json.dumps({"key_id": added.key_id, "client_id": "alice", "by": "operator"})),
    ]
    listed = {one.key_id: one for one in asyncio.run(keys.list_keys("alice"))}
    assert listed.keys() == {plain.key_id, added.key_id}
    assert listed[added.key_id].revoked_at is not None
    assert added.key not in repr(added)
    assert not [path for path in Path("logs").rglob("*") if path.is_file() and added.key[15:].encode() in path.read_bytes()]
    events = Path("logs/security.log").read_text()
    assert f"key_revoked client_id=alice key_id={added.key_id}" in events


@pytest.mark.usefixtures("alice")
def test_the_command_that_revokes_tokens_revokes_a_key_too() -> None:
    added = asyncio.run(keys.add_key("alice"))
    asyncio.run(clients.revoke_token(added.key_id))
    assert [action for action, _ in records()] == ["key.added", "key.revoked"]


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "nobody's": (lambda: keys.add_key("nobody"), InvalidRequest, "no such client"),
    "a disabled client's": (lambda: keys.add_key("gone"), InvalidRequest, "clients enable gone"),
    "a role that the client lacks": (lambda: keys.add_key("gina", [ASK]), InvalidRequest, f"does not have the role {ASK}"),
    "no role": (lambda: keys.add_key("alice", ["No Role"]), InvalidRoles, "Roles are"),
    "a long name": (lambda: keys.add_key("alice", name="x" * 65), InvalidRequest, "1 to 64 printable"),
    "a name that controls a terminal": (lambda: keys.add_key("alice", name="\x1b[2J"), InvalidRequest, "printable"),
    "revoke what is no id": (lambda: keys.revoke_key("saa_" + "0" * 60), InvalidRequest, "11 characters"),
    "revoke an unknown one": (lambda: keys.revoke_key("0" * 11), InvalidRequest, "no such key"),
}


@pytest.mark.usefixtures("alice")
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_leaves_no_record(name: str) -> None:
    asyncio.run(clients.add_client("gina", [AUDIT_READER]))
    asyncio.run(clients.add_client("gone", [ASK]))
    asyncio.run(clients.disable_client("gone"))
    log = LOG.read_bytes()
    work, kind, sentence = REFUSED[name]
    with pytest.raises(kind, match=sentence):
        asyncio.run(work())
    assert LOG.read_bytes() == log
    assert asyncio.run(keys.list_keys()) == []
