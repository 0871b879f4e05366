"""What an operator does to API keys. Each change is recorded before it is made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ..errors import InvalidRequest
from ..kit.moments import iso, moment
from ..security.api_keys.form import NewKey
from ..security.models import ApiKey
from ..security.roles import verify_roles
from .operator import Operating, Operator, operating, reading_clients

MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class AddedKey:
    """A new key. Show it once: only its SHA-256 is stored."""

    key_id: str
    key: str = field(repr=False)
    client_id: str
    roles: tuple[str, ...]
    expires_at: datetime | None
    name: str | None


async def add_key(
    client_id: str,
    roles: Sequence[str] = (),
    *,
    name: str | None = None,
    rpm: int | None = None,
    expires_in: int | None = None,
    by: Operating = operating,
) -> AddedKey:
    """A key of a client. *roles*: some of the client's; left out, all that it has now.

    *expires_in*: seconds. Raises InvalidRoles, InvalidRequest, AuditUnavailable.
    """
    if name is not None and not (0 < len(name) <= MAX_NAME and name.isprintable()):
        raise InvalidRequest(f"A key's name is 1 to {MAX_NAME} printable characters.")
    async with by() as operator:
        client = await operator.store.verify_active(client_id)
        names = verify_roles(list(roles)) if roles else client.roles
        for role in names:
            if role not in client.roles:
                raise InvalidRequest(f"Client {client_id} does not have the role {role}. It has {', '.join(client.roles)}.")
        expires_at = None if expires_in is None else int(time.time()) + expires_in
        new = await store_key(operator, client_id, names, name=name, rpm=rpm, expires_at=expires_at)
        return AddedKey(*new, client_id, names, None if expires_at is None else moment(expires_at), name)


async def store_key(
    operator: Operator,
    client_id: str,
    roles: tuple[str, ...],
    *,
    name: str | None = None,
    rpm: int | None = None,
    expires_at: int | None = None,
) -> NewKey:
    """Record and store a new key. *expires_at* is in Unix seconds."""
    new = operator.store.keys.make()
    record = operator.recording(
        "key.added",
        key_id=new.key_id,
        client_id=client_id,
        roles=list(roles),
        name=name,
        rpm=rpm,
        expires_at=None if expires_at is None else iso(moment(expires_at)),
    )
    await operator.store.keys.add(new, client_id, roles, name=name, rpm=rpm, expires_at=expires_at, record=record)
    return new


async def list_keys(client_id: str | None = None) -> list[ApiKey]:
    """All keys, or those of one client, with the expired and revoked ones. Nothing is recorded.

    Raises InvalidRequest if there is no such client.
    """
    async with reading_clients() as store:
        return await store.keys.list_all(client_id)


async def revoke_key(key_id: str, by: Operating = operating) -> ApiKey:
    """Recorded once. Raises InvalidRequest for what is no id of a key, AuditUnavailable."""
    async with by() as operator:
        key = await operator.store.keys.verify_exists(key_id)
        record = operator.recording("key.revoked", key_id=key_id, client_id=key.client_id)
        await operator.store.revoke(key_id, key.ends_at, record)
        return key
