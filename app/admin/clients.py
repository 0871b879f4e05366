"""What the operator does to clients and tokens: recorded first, then done. Works beside a running service."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from ..audit.storage.file_system import verify_locks_hold
from ..errors import InvalidRequest
from ..security.clients.store import ClientStore
from ..security.models import Client
from ..security.roles import verify_roles, verify_user_id
from ..security.security_log import SecurityLog
from ..settings import MAX_TOKEN_HOURS, load_log_settings
from ..wiring.audit import open_audit, verify_setup
from ..wiring.services import open_client_store

Record = Callable[[str, Mapping[str, Any]], Awaitable[None]]


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[ClientStore, Record]]:
    settings = load_log_settings()
    verify_locks_hold(settings.audit_log_path)
    verify_setup(settings)
    store, events = open_client_store(settings), SecurityLog(settings.security_log_path)
    audit = open_audit(settings, events)

    async def record(action: str, details: Mapping[str, Any]) -> None:
        await audit.record(action, user_id=None, details={**details, "by": "operator"})
        events.event(action.replace(".", "_"), **{name: details[name] for name in ("client_id", "jti") if name in details})

    try:
        audit.recover()
        async with audit:
            yield store, record
    finally:
        await store.aclose()
        audit.close()
        events.close()


async def add_client(client_id: str, roles: Sequence[str]) -> tuple[str, list[str]]:
    """The new client's secret, and its roles. Raises InvalidUser, InvalidRoles, InvalidRequest, AuditUnavailable."""
    names = verify_roles(list(roles))
    verify_user_id(client_id)
    async with _opened() as (store, record):
        if await store.get(client_id) is not None:
            raise InvalidRequest(f"There is a client {client_id} already: choose another name, or clients rotate {client_id}.")
        await record("client.added", {"client_id": client_id, "roles": list(names)})
        return await store.add(client_id, names), list(names)


async def list_clients() -> list[Client]:
    store = open_client_store(load_log_settings())
    try:
        return await store.list_all()
    finally:
        await store.aclose()


async def disable_client(client_id: str) -> None:
    """Raises InvalidRequest if there is no such client."""
    async with _opened() as (store, record):
        await _existing(store, client_id)
        await record("client.disabled", {"client_id": client_id})
        await store.disable(client_id)


async def rotate_client(client_id: str) -> str:
    """The new secret. Raises InvalidRequest if there is no such client, or it is disabled."""
    async with _opened() as (store, record):
        if (await _existing(store, client_id)).disabled:
            raise InvalidRequest(f"Client {client_id} is disabled for good. Add one under another name.")
        await record("client.rotated", {"client_id": client_id})
        return await store.rotate(client_id)


async def revoke_token(jti: str) -> None:
    """Kept as long as any token can live, whatever the setting becomes. Raises InvalidRequest for what is no jti."""
    async with _opened() as (store, record):
        if len(jti) != 32 or not set(jti) <= set("0123456789abcdef"):
            raise InvalidRequest("A jti is 32 hex digits: it is in the token, and in its token.issued record.")
        await record("token.revoked", {"jti": jti})
        await store.revoke(jti, int(time.time() + MAX_TOKEN_HOURS * 3600))


async def _existing(store: ClientStore, client_id: str) -> Client:
    client = await store.get(client_id)
    if client is None:
        raise InvalidRequest("There is no such client. python -m app clients list shows those there are.")
    return client
