"""Verifies API keys, one numbered step after the other."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from ...errors import AuditUnavailable, Unavailable
from ...kit.moments import iso, moment
from ..models import NEVER, Principal, Revocations
from ..proof_cache import ProofCache
from .form import KeyRefused, verify_form

Record = Callable[[str | None, str, Mapping[str, Any]], Awaitable[object]]


class Keys(Protocol):
    """What is stored of the keys. Every method raises Unavailable."""

    async def find(self, key_id: str) -> Any:
        """The row of a key; for an unknown one, a row whose id is "". Both take as long."""

    def noting_expiry(self, key_id: str) -> AbstractAsyncContextManager[bool]:
        """Whether this is the first use of an expired key: noted once the block ends, else not."""


class KeyVerifier:
    """Proves who bears a key.

    A key is looked up in the database once, then cached. Expiry, revocation and the state of its
    client are checked on every call, in memory.
    """

    def __init__(self, keys: Keys, record: Record, clock: Callable[[], float] = time.time) -> None:
        self._keys, self._record, self._clock = keys, record, clock
        self._proven: ProofCache[Principal] = ProofCache()
        self._noted: set[str] = set()

    def forget(self) -> None:
        """Look up every key again: the database is another one."""
        self._proven = ProofCache()

    async def verify(self, key: str, revocations: Revocations) -> Principal:
        """The proven bearer. Raises KeyRefused with the reason, Unavailable."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
        proven = self._proven  # what is looked up before `forget` is not kept after it
        principal = proven.get(digest)
        if principal is None:
            principal = await self._prove(key, digest)
            proven.keep(digest, principal)
        key_id = principal.credential_id
        # (3) Not expired, not revoked, its client not disabled. Checked for a cached key too.
        if self._clock() >= principal.expires_at:
            await self._note_expired(principal)
            raise KeyRefused("expired", key_id)
        if key_id in revocations.revoked:
            raise KeyRefused("revoked", key_id)
        if principal.client_id in revocations.disabled:
            raise KeyRefused("client_disabled", key_id)
        # (4) Only roles that its client still has.
        return revocations.as_of_now(principal)

    async def _prove(self, key: str, digest: bytes) -> Principal:
        # (1) Its form and its checksum.
        key_id = verify_form(key)
        # (2) Its secret. An unknown key's is compared too, with a row that nothing matches.
        row = await self._keys.find(key_id)
        is_proven = hmac.compare_digest(digest.hex(), row.sha256)
        if not row.key_id:
            raise KeyRefused("unknown", key_id)
        if not is_proven:
            raise KeyRefused("wrong_secret", key_id)
        expires_at = NEVER if row.expires_at is None else row.expires_at
        roles = tuple(row.roles.split(" "))
        return Principal(row.client_id, roles, row.client_id, key_id, expires_at, "key", key_rpm=row.rpm)

    async def _note_expired(self, principal: Principal) -> None:
        """Record the first use of an expired key: once, whichever worker sees it."""
        key_id = principal.credential_id
        if key_id in self._noted:
            return
        self._noted.add(key_id)
        expires_at = iso(moment(principal.expires_at))
        details = {"key_id": key_id, "client_id": principal.client_id, "expires_at": expires_at}
        try:
            async with self._keys.noting_expiry(key_id) as is_first:
                if is_first:
                    await self._record(None, "key.expired", details)
        except (AuditUnavailable, Unavailable):
            self._noted.discard(key_id)  # the refusal stands; the next use tries again
