"""The API keys of the clients: added, listed and looked up.

A key's row never changes. That it was revoked stands in `revocations`, as for a token.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ...errors import InvalidRequest
from ...kit.command import command
from ...kit.moments import moment
from ..api_keys.form import NewKey, is_key_id, make_key
from ..models import ApiKey
from .rows import NO_DIGEST, WANTED, existing, lookup
from .tables import keys, revocations
from .transactions import Record, locked, reading, unrecorded, writing

KEY_OR_DECOY = lookup(keys, key_id="", sha256=NO_DIGEST)
KEY_AND_REVOCATION = select(keys, revocations.c.revoked_at).outerjoin(revocations, revocations.c.jti == keys.c.key_id)


class KeyStore:
    """Every method is one transaction, durable on return. Each raises Unavailable."""

    def __init__(self, engine: AsyncEngine, now: Callable[[], float], random_bytes: Callable[[int], bytes]) -> None:
        self._engine, self._now, self._random_bytes = engine, now, random_bytes

    def make(self) -> NewKey:
        """A key that `add` may store: its id stands in the record that comes first."""
        return make_key(self._random_bytes)

    async def add(
        self,
        new: NewKey,
        client_id: str,
        roles: tuple[str, ...],
        *,
        name: str | None = None,
        rpm: int | None = None,
        expires_at: int | None = None,
        record: Record = unrecorded,
    ) -> None:
        """Store the SHA-256 of a key. Raises InvalidRequest if there is no such client."""
        row = keys.insert().values(
            key_id=new.key_id,
            client_id=client_id,
            sha256=hashlib.sha256(new.key.encode()).hexdigest(),
            roles=" ".join(roles),
            name=name,
            rpm=rpm,
            created_at=int(self._now()),
            expires_at=expires_at,
            expiry_noted=False,
        )
        async with writing(self._engine, record) as connection:
            await existing(connection, client_id)
            await connection.execute(row)

    async def list_all(self, client_id: str | None = None) -> list[ApiKey]:
        """The keys of all clients, or of one, by client and age; with the expired and revoked ones.

        Raises InvalidRequest if there is no such client.
        """
        query = KEY_AND_REVOCATION.order_by(keys.c.client_id, keys.c.created_at, keys.c.key_id)
        async with reading(self._engine) as connection:
            if client_id is not None:
                await existing(connection, client_id)
                query = query.where(keys.c.client_id == client_id)
            return [_key_of(row) for row in (await connection.execute(query)).all()]

    async def verify_exists(self, key_id: str) -> ApiKey:
        """Raises InvalidRequest for what is no id of a key."""
        if not is_key_id(key_id):
            raise InvalidRequest("A key's id is the 11 characters after saa_: send no more of it.")
        async with reading(self._engine) as connection:
            row = (await connection.execute(KEY_AND_REVOCATION.where(keys.c.key_id == key_id))).first()
        if row is None:
            raise InvalidRequest(f"There is no such key. {command('keys list')} shows all keys.")
        return _key_of(row)

    async def find(self, key_id: str) -> Row[Any]:
        """The row of a key; for an unknown one, a row whose id is "". Both take as long."""
        async with reading(self._engine) as connection:
            return (await connection.execute(KEY_OR_DECOY, {WANTED: key_id})).one()

    @asynccontextmanager
    async def noting_expiry(self, key_id: str) -> AsyncIterator[bool]:
        """Whether this is the first use of an expired key: noted once the block ends, else not.

        One process at a time. No process needs to learn of it: the generation stays.
        """
        first = keys.update().where(keys.c.key_id == key_id, ~keys.c.expiry_noted).values(expiry_noted=True)
        async with locked(self._engine) as connection:
            yield (await connection.execute(first)).rowcount == 1
            await connection.commit()


def _key_of(row: Row[Any]) -> ApiKey:
    expires_at = None if row.expires_at is None else moment(row.expires_at)
    revoked_at = None if row.revoked_at is None else moment(row.revoked_at)
    roles = tuple(row.roles.split(" "))
    return ApiKey(row.key_id, row.client_id, roles, row.name, row.rpm, moment(row.created_at), expires_at, revoked_at)
