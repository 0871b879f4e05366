"""What the operator does to clients and tokens: recorded first, then done. Works beside a running service."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from .errors import InvalidRequest
from .security.audit.log import AuditLog
from .security.clients import ClientStore
from .security.models import Client
from .security.roles import verify_roles, verify_user_id
from .settings import Settings, load_settings
from .wiring import open_audit, open_client_store, verify_birth


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[Settings, ClientStore, AuditLog]]:
    settings = load_settings()
    verify_birth(settings)
    store, audit = open_client_store(settings), open_audit(settings)
    try:
        audit.settle()
        async with audit:
            yield settings, store, audit
    finally:
        await store.aclose()
        audit.close()


async def _record(audit: AuditLog, action: str, details: Mapping[str, Any]) -> None:
    await audit.record(action, user_id=None, details={**details, "by": "operator"})


async def add_client(client_id: str, roles: Sequence[str]) -> tuple[str, list[str]]:
    """The new client's secret, and its roles. Raises InvalidUser, InvalidRoles, InvalidRequest, AuditUnavailable."""
    names = verify_roles(list(roles))
    verify_user_id(client_id)
    async with _opened() as (_, store, audit):
        if await store.get(client_id) is not None:
            raise InvalidRequest(f"There is a client {client_id} already: choose another name, or clients rotate {client_id}.")
        await _record(audit, "client.added", {"client_id": client_id, "roles": list(names)})
        return await store.add(client_id, names), list(names)


async def list_clients() -> list[Client]:
    store = open_client_store(load_settings())
    try:
        return await store.list_all()
    finally:
        await store.aclose()


async def disable_client(client_id: str) -> None:
    """Raises InvalidRequest if there is no such client."""
    async with _opened() as (_, store, audit):
        await _verify_exists(store, client_id)
        await _record(audit, "client.disabled", {"client_id": client_id})
        await store.disable(client_id)


async def rotate_client(client_id: str) -> str:
    """The new secret. Raises InvalidRequest if there is no such client, or it is disabled."""
    async with _opened() as (_, store, audit):
        await _verify_exists(store, client_id)
        await _record(audit, "client.rotated", {"client_id": client_id})
        return await store.rotate(client_id)


async def revoke_token(jti: str) -> None:
    """Kept as long as any token can live. Raises InvalidRequest for what is no jti."""
    async with _opened() as (settings, store, audit):
        if len(jti) != 32 or not set(jti) <= set("0123456789abcdef"):
            raise InvalidRequest("A jti is 32 hex digits: it is in the token, and in its token.issued record.")
        await _record(audit, "token.revoked", {"jti": jti})
        await store.revoke(jti, int(time.time() + settings.token_expiry_hours * 3600) + 60)


async def _verify_exists(store: ClientStore, client_id: str) -> None:
    if await store.get(client_id) is None:
        raise InvalidRequest("There is no such client. python -m app clients list shows those there are.")
