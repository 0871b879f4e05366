"""The store of registered clients and revoked tokens.

Its generation number shows every process a change.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from ...errors import ConfigError, InvalidRequest, ServerUnavailable
from ..api_keys.form import is_key_id
from ..models import DEFAULT_SETTINGS, Client, ClientSettings, Revocations
from ..oauth_errors import InvalidClient
from ..roles import verify_roles, verify_user_id
from ..tokens.jti import verify_jti
from .database import TIMEOUT_SECONDS, Where
from .key_store import KeyStore
from .migrations import verify_schema
from .replaced_database import Place, place_of, store_refusals
from .revocation_rows import read_revocations, write_revocation
from .rows import NO_DIGEST, active, client_of, every, existing, find_or_decoy, name_taken, settings_of, update, verify_secrets
from .tables import clients
from .transactions import Record, Verify, open_async_engine, reading, unrecorded, writing

Clock = Callable[[], float]
Randomness = Callable[[int], bytes]

SECRET_BYTES = 32
"""256 bits: too many to guess, so a fast hash of the secret is safe to store."""


class ClientStore:
    """Every method is one transaction, durable on return.

    Each raises Unavailable if the database cannot be used. The *record* of a change is called once
    the change is sure to be possible, and before it is made.
    """

    def __init__(self, engine: AsyncEngine, place: Place, *, now: Clock, random_bytes: Randomness) -> None:
        self._engine, self.place = engine, place
        self._now, self._random_bytes = now, random_bytes
        self.keys = KeyStore(engine, now, random_bytes)

    async def add(
        self,
        client_id: str,
        roles: list[str] | tuple[str, ...],
        settings: ClientSettings = DEFAULT_SETTINGS,
        record: Record = unrecorded,
    ) -> str:
        """Register a client and return its secret, of which only the SHA-256 is stored.

        Raises InvalidUser, InvalidRoles, or InvalidRequest if the name is taken.
        """
        secret = self._new_secret()
        row = clients.insert().values(
            client_id=verify_user_id(client_id),
            secret_sha256=_digest(secret),
            roles=" ".join(verify_roles(roles)),
            disabled=False,
            created_at=int(self._now()),
            **asdict(settings),
        )
        async with writing(self._engine, record) as connection:
            try:
                await connection.execute(row)
            except IntegrityError:
                raise name_taken(client_id) from None
        return secret

    async def verify_exists(self, client_id: str) -> Client:
        """The client. Raises InvalidRequest if there is none, as `disable` does."""
        async with reading(self._engine) as connection:
            return client_of(await existing(connection, client_id))

    async def verify_active(self, client_id: str) -> Client:
        """The client. Raises InvalidRequest for none or a disabled one, as `rotate` does."""
        async with reading(self._engine) as connection:
            return client_of(await active(connection, client_id))

    async def list_all(self) -> list[Client]:
        """All clients by name, including the disabled ones."""
        async with reading(self._engine) as connection:
            return await every(connection)

    async def disable(self, client_id: str, record: Record = unrecorded, verify: Verify | None = None) -> None:
        """Refuse the client, its tokens and keys. Raises InvalidRequest, as all below."""
        await self._change(client_id, record, verify, disabled=True)

    async def enable(self, client_id: str, record: Record = unrecorded) -> None:
        """Undo `disable`: its unexpired tokens and keys count again, too."""
        await self._change(client_id, record, disabled=False)

    async def set_roles(
        self, client_id: str, roles: list[str] | tuple[str, ...], record: Record = unrecorded, verify: Verify | None = None
    ) -> None:
        """Its tokens and keys lose the roles that it has no more. Raises InvalidRoles too."""
        await self._change(client_id, record, verify, roles=" ".join(verify_roles(roles)))

    async def change_settings(
        self, client_id: str, changes: Mapping[str, Any], record: Callable[[ClientSettings], Awaitable[object]] | None = None
    ) -> ClientSettings:
        """Change some settings, and return all, which *record* is given too."""
        async with writing(self._engine) as connection:
            settings = replace(settings_of(await existing(connection, client_id)), **changes)
            await update(connection, client_id, **asdict(settings))
            if record is not None:
                await record(settings)
        return settings

    async def rotate(self, client_id: str, record: Record = unrecorded) -> str:
        """Return a new secret. Older ones are refused at once; tokens live until they expire.

        Raises InvalidRequest if there is no such client or it is disabled.
        """
        secret = self._new_secret()
        async with writing(self._engine, record) as connection:
            await active(connection, client_id)
            await update(connection, client_id, secret_sha256=_digest(secret), second_sha256=None)
        return secret

    async def add_secret(self, client_id: str, record: Record = unrecorded) -> str:
        """Return a second secret; the first stays live. Raises InvalidRequest."""
        secret = self._new_secret()
        async with writing(self._engine, record) as connection:
            verify_secrets(client_of(await active(connection, client_id)), 1)
            await update(connection, client_id, second_sha256=_digest(secret))
        return secret

    async def remove_secret(self, client_id: str, *, newer: bool = False, record: Record = unrecorded) -> None:
        """Refuse the older of two secrets, or the *newer*. Raises InvalidRequest."""
        async with writing(self._engine, record) as connection:
            row = await active(connection, client_id)
            verify_secrets(client_of(row), 2)
            left = row.secret_sha256 if newer else row.second_sha256
            await update(connection, client_id, secret_sha256=left, second_sha256=None)

    async def authenticate(self, client_id: str, secret: str) -> Client:
        """Return the client that *secret* proves (RFC 6749, section 2.3.1). Raises InvalidClient.

        Its reason (unknown_client, wrong_secret, client_disabled) is for the record only. Neither
        the answer nor its time shows whether a client exists. Only a caller who knows the secret
        learns that it is disabled.
        """
        async with reading(self._engine) as connection:
            row = await find_or_decoy(connection, client_id)
        # (1) The secret: one of two. An unknown client's is compared too, which takes as long.
        digest = _digest(secret)
        is_first = hmac.compare_digest(digest, row.secret_sha256)
        proven = hmac.compare_digest(digest, row.second_sha256 or NO_DIGEST) or is_first
        if not row.client_id:
            raise InvalidClient("unknown_client", client_id)
        if not proven:
            raise InvalidClient("wrong_secret", client_id)
        # (2) The state, revealed only after the proof.
        if row.disabled:
            raise InvalidClient("client_disabled", client_id)
        return client_of(row)

    async def revoke(self, credential_id: str, expires_at: int, record: Record = unrecorded) -> None:
        """Refuse a token or key until *expires_at*, in Unix seconds: its end or later.

        A second revocation may extend the first, never shorten it. It is not recorded: it refuses
        nothing that was not refused. Raises InvalidRequest.
        """
        if not is_key_id(credential_id):
            verify_jti(credential_id)
        if type(expires_at) is not int or not 0 <= expires_at < 2**63:
            raise InvalidRequest("A token's expiry is a whole number of Unix seconds.")
        async with writing(self._engine) as connection:
            if await write_revocation(connection, credential_id, expires_at, int(self._now())):
                await record()

    async def current_revocations(self) -> Revocations:
        """The state of all clients and all revocations, in one snapshot."""
        async with reading(self._engine) as connection:
            return await read_revocations(connection)

    async def generation(self) -> int:
        """Changes with every change to clients and revocations, by any process.

        Cheap: it reads one row.
        """
        async with reading(self._engine) as connection:
            return int((await connection.exec_driver_sql("SELECT value FROM generation")).scalar_one())

    async def reopen(self) -> None:
        """Use the database that is there now. Raises Unavailable if that is none of ours.

        Accept it (`place`) once it was read.
        """
        await self._engine.dispose()  # no connection goes on with the file that was there before
        try:
            await asyncio.to_thread(verify_schema, self.place.where)
        except ConfigError as error:
            raise ServerUnavailable(error.detail, retry_after=1) from error

    async def is_same(self) -> bool:
        """Whether it is the database that was accepted last. Cheap."""
        if not self.place.shows_itself:
            await self.generation()
        return self.place.is_same()

    async def keep_refused(self, revoked: Mapping[str, int], disabled: frozenset[str]) -> None:
        """Revocations (jti and expiry) and disabled clients that the database lacks."""
        await store_refusals(self._engine, revoked, disabled, int(self._now()))

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def _change(self, client_id: str, record: Record, verify: Verify | None = None, **values: Any) -> None:
        async with writing(self._engine, record) as connection:
            await existing(connection, client_id)
            if verify is not None:
                verify(await every(connection))
            await update(connection, client_id, **values)

    def _new_secret(self) -> str:
        return urlsafe_b64encode(self._random_bytes(SECRET_BYTES)).rstrip(b"=").decode()


def open_clients(
    where: Where, *, now: Clock = time.time, random_bytes: Randomness = secrets.token_bytes, timeout: float = TIMEOUT_SECONDS
) -> ClientStore:
    """Open the store; close it with `aclose`. *timeout*: seconds to wait for another's lock.

    Raises ConfigError if the database is missing or its schema is not this version's.
    """
    verify_schema(where, timeout)
    place = place_of(where)  # before it is opened: a file that comes later is another
    engine = open_async_engine(where, timeout)
    place.watch(engine.sync_engine)
    return ClientStore(engine, place, now=now, random_bytes=random_bytes)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
