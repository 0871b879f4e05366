"""Registered clients, revoked tokens, and the generation number that tells every process when either changed."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from ...errors import InvalidRequest
from ..models import Client, Revocations
from ..oauth_errors import InvalidClient
from ..roles import is_user_id, verify_roles, verify_user_id
from .database import TIMEOUT_SECONDS, database_path, open_async_engine, reading, writing
from .migrations import create_or_upgrade_database, verify_schema
from .tables import clients, generation, revocations

if TYPE_CHECKING:
    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["ClientStore", "create_or_upgrade_database", "open_clients", "verify_jti"]

Clock = Callable[[], float]
Randomness = Callable[[int], bytes]

SECRET_BYTES = 32
KEPT_AFTER_EXPIRY = 24 * 3600
"""Seconds that a revocation outlives its token, so that a clock set back revives nothing."""

_NO_DIGEST = "0" * 64
_JTI = re.compile(r"[0-9a-f]{32}")


class ClientStore:
    """Every method is one transaction, durable on return, and raises Unavailable where the database cannot be used."""

    def __init__(self, engine: AsyncEngine, *, now: Clock, random_bytes: Randomness) -> None:
        self._engine = engine
        self._now = now
        self._random_bytes = random_bytes

    async def add(self, client_id: str, roles: list[str] | tuple[str, ...]) -> str:
        """Register a client and return its secret, which is kept nowhere: only its SHA-256 is.

        Raises InvalidUser, InvalidRoles, or InvalidRequest if the name is taken.
        """
        secret = self._new_secret()
        row = clients.insert().values(
            client_id=verify_user_id(client_id),
            secret_sha256=_digest(secret),
            roles=" ".join(verify_roles(roles)),
            disabled=False,
            created_at=int(self._now()),
        )
        async with writing(self._engine) as connection:
            try:
                await connection.execute(row)
            except IntegrityError:
                raise _taken(client_id) from None
        return secret

    async def get(self, client_id: str) -> Client | None:
        async with reading(self._engine) as connection:
            row = await _find(connection, client_id)
        return None if row is None else _client(row)

    async def verify_free(self, client_id: str) -> None:
        """Raises InvalidRequest if a client has this name, as `add` does."""
        if await self.get(client_id) is not None:
            raise _taken(client_id)

    async def verify_exists(self, client_id: str) -> Client:
        """The client. Raises InvalidRequest if there is none, as `disable` does."""
        client = await self.get(client_id)
        if client is None:
            raise _unknown()
        return client

    async def verify_active(self, client_id: str) -> Client:
        """The client. Raises InvalidRequest if there is none or it is disabled, as `rotate` does."""
        client = await self.verify_exists(client_id)
        if client.disabled:
            raise _disabled(client_id)
        return client

    async def list_all(self) -> list[Client]:
        """All clients, the disabled ones too, by name."""
        async with reading(self._engine) as connection:
            rows = (await connection.execute(select(clients).order_by(clients.c.client_id))).all()
        return [_client(row) for row in rows]

    async def disable(self, client_id: str) -> None:
        """Refuse the client and all its tokens from now on; for one that is disabled already, the same again.

        Raises InvalidRequest if there is no such client.
        """
        async with writing(self._engine) as connection:
            await _existing(connection, client_id)
            await connection.execute(clients.update().where(clients.c.client_id == client_id).values(disabled=True))

    async def rotate(self, client_id: str) -> str:
        """Return a new secret; the old one is dead at once. Tokens that it has fetched live on until they expire.

        Raises InvalidRequest if there is no such client or it is disabled.
        """
        secret = self._new_secret()
        async with writing(self._engine) as connection:
            if (await _existing(connection, client_id)).disabled:
                raise _disabled(client_id)
            change = clients.update().where(clients.c.client_id == client_id)
            await connection.execute(change.values(secret_sha256=_digest(secret)))
        return secret

    async def authenticate(self, client_id: str, secret: str) -> Client:
        """Return the client that *secret* proves (RFC 6749, section 2.3.1), else raise InvalidClient.

        Its reason is unknown_client, wrong_secret or client_disabled, for the record only. Whether a client exists
        shows in neither the answer nor its time; whether it is disabled, only to who knows the secret.
        """
        async with reading(self._engine) as connection:
            row = await _find(connection, client_id)
        # (1) the secret: hashed and compared for an unknown client too
        proven = hmac.compare_digest(_digest(secret), _NO_DIGEST if row is None else row.secret_sha256)
        if row is None:
            raise InvalidClient("unknown_client", client_id if is_user_id(client_id) else None)
        if not proven:
            raise InvalidClient("wrong_secret", client_id)
        # (2) the state, told only after the proof
        if row.disabled:
            raise InvalidClient("client_disabled", client_id)
        return _client(row)

    async def revoke(self, jti: str, expires_at: int) -> None:
        """Refuse the token named *jti* (32 hex digits) until *expires_at*, its `exp` or later, in Unix seconds.

        A second revocation may lengthen the first, never shorten it. Raises InvalidRequest.
        """
        verify_jti(jti)
        if type(expires_at) is not int or not 0 <= expires_at < 2**63:
            raise InvalidRequest("A token's expiry is a whole number of Unix seconds.")
        now = int(self._now())
        entry = upsert(revocations).values(jti=jti, expires_at=expires_at, revoked_at=now)
        longer = {"expires_at": entry.excluded.expires_at}
        async with writing(self._engine) as connection:
            await connection.execute(revocations.delete().where(revocations.c.expires_at < now - KEPT_AFTER_EXPIRY))
            await connection.execute(
                entry.on_conflict_do_update(
                    index_elements=["jti"], set_=longer, where=revocations.c.expires_at < entry.excluded.expires_at
                )
            )

    async def denied(self) -> Revocations:
        """All disabled clients and all revocations that have not expired, as one snapshot."""
        async with reading(self._engine) as connection:
            await connection.exec_driver_sql("BEGIN")
            number = (await connection.execute(select(generation.c.value))).scalar_one()
            live = select(revocations.c.jti).where(revocations.c.expires_at > self._now())
            revoked = (await connection.execute(live)).scalars()
            disabled = (await connection.execute(select(clients.c.client_id).where(clients.c.disabled))).scalars()
            return Revocations(number, frozenset(revoked), frozenset(disabled))

    async def generation(self) -> int:
        """Changes with every add, disable, rotate and revoke of any process. Cheap: one row by rowid."""
        async with reading(self._engine) as connection:
            return int((await connection.exec_driver_sql("SELECT value FROM generation")).scalar_one())

    async def aclose(self) -> None:
        await self._engine.dispose()

    def _new_secret(self) -> str:
        return urlsafe_b64encode(self._random_bytes(SECRET_BYTES)).rstrip(b"=").decode()


def open_clients(
    url: str, *, now: Clock = time.time, random_bytes: Randomness = secrets.token_bytes, timeout: float = TIMEOUT_SECONDS
) -> ClientStore:
    """Open the store at *url*; close it with `aclose`. *patience*: seconds to wait for another process's lock.

    Raises ConfigError, with what to do, if the database is missing or its schema is not this version's.
    """
    path = database_path(url)
    verify_schema(path, timeout)
    return ClientStore(open_async_engine(path, timeout), now=now, random_bytes=random_bytes)


async def _find(connection: AsyncConnection, client_id: str) -> Row[Any] | None:
    """What is no client id is looked up as "", which nobody bears: the same work, and no surrogate reaches SQLite."""
    known = client_id if is_user_id(client_id) else ""
    return (await connection.execute(select(clients).where(clients.c.client_id == known))).first()


async def _existing(connection: AsyncConnection, client_id: str) -> Row[Any]:
    row = await _find(connection, client_id)
    if row is None:
        raise _unknown()
    return row


def verify_jti(value: object) -> None:
    """Raises InvalidRequest for what cannot name a token."""
    if not isinstance(value, str) or not _JTI.fullmatch(value):
        raise InvalidRequest("A jti is 32 hex digits (0-9 a-f). The token and its token.issued record contain it.")


def _taken(client_id: str) -> InvalidRequest:
    return InvalidRequest(
        f"Client {client_id} exists already. Choose another name, "
        f"or run python -m app clients rotate {client_id} for a new secret."
    )


def _unknown() -> InvalidRequest:
    return InvalidRequest("There is no such client. python -m app clients list shows all clients.")


def _disabled(client_id: str) -> InvalidRequest:
    return InvalidRequest(f"Client {client_id} is disabled for good. Add a client with another name.")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _client(row: Row[Any]) -> Client:
    created_at = datetime.fromtimestamp(row.created_at, UTC)
    return Client(row.client_id, tuple(row.roles.split(" ")), row.disabled, created_at)
