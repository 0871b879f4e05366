"""Revoked tokens and keys in the database: written, and read with the state of all clients."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ..models import DEFAULT_SETTINGS, Revocations
from .rows import settings_of
from .tables import clients, generation, keys, revocations
from .transactions import begin_snapshot, upsert

KEPT_AFTER_EXPIRY_SECONDS = 24 * 3600
"""How long a revocation outlives its token, so that a clock that is set back revives no token.

That of a key is kept as long as the key's row, which is never deleted."""


async def write_revocation(connection: AsyncConnection, jti: str, expires_at: int, now: int) -> bool:
    """Whether it is the first. A second one may extend the first, never shorten it."""
    is_old = revocations.c.expires_at < now - KEPT_AFTER_EXPIRY_SECONDS
    await connection.execute(revocations.delete().where(is_old, revocations.c.jti.not_in(select(keys.c.key_id))))
    known = (await connection.execute(select(revocations.c.jti).where(revocations.c.jti == jti))).first()
    entry = upsert(connection, revocations).values(jti=jti, expires_at=expires_at, revoked_at=now)
    longer = {"expires_at": entry.excluded.expires_at}
    is_longer = revocations.c.expires_at < entry.excluded.expires_at
    await connection.execute(entry.on_conflict_do_update(index_elements=["jti"], set_=longer, where=is_longer))
    return known is None


async def read_revocations(connection: AsyncConnection) -> Revocations:
    """The state of all clients and all revocations, in one snapshot. Those that have expired too.

    The clock may be wrong now, and nothing is read again when it is set back.
    """
    await begin_snapshot(connection)
    number = (await connection.execute(select(generation.c.value))).scalar_one()
    expiries = {row.jti: row.expires_at for row in await connection.execute(select(revocations))}
    known = (await connection.execute(select(clients))).all()
    lists = {text: frozenset(text.split(" ")) for text in {row.roles for row in known}}  # most clients share theirs
    disabled = frozenset(row.client_id for row in known if row.disabled)
    roles = {row.client_id: lists[row.roles] for row in known}
    settings = {row.client_id: settings_of(row) for row in known if settings_of(row) != DEFAULT_SETTINGS}
    return Revocations(number, frozenset(expiries), disabled, roles, expiries, settings=settings)
