"""What an operator does to clients and tokens. Each change is recorded before it is made.

Works beside a running service, which applies a change within a second.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from ..audit.log import AuditLog
from ..audit.storage.file_system import verify_locks_hold
from ..security.clients.database import faults_named
from ..security.clients.store import ClientStore, open_clients
from ..security.models import Client
from ..security.roles import verify_roles, verify_user_id
from ..security.security_log import SecurityLog
from ..security.tokens.jti import verify_jti
from ..settings import MAX_TOKEN_HOURS, load_settings
from ..wiring.audit import open_audit
from ..wiring.start_checks import verify_setup
from .known_roles import verify_known


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client's new secret. Show it once: only its SHA-256 is stored."""

    client_id: str
    secret: str = field(repr=False)
    roles: tuple[str, ...]


async def add_client(client_id: str, roles: Sequence[str], *, allow_unknown: bool = False) -> ClientSecret:
    """*allow_unknown*: also roles that nothing asks for.

    Raises InvalidUser, InvalidRoles, InvalidRequest if the name is taken or there is no such role,
    AuditUnavailable.
    """
    names = verify_roles(list(roles))
    verify_user_id(client_id)
    async with _opened(None if allow_unknown else names) as operator:
        await operator.store.verify_free(client_id)
        await operator.record("client.added", client_id=client_id, roles=list(names))
        return ClientSecret(client_id, await operator.store.add(client_id, names), names)


async def list_clients() -> list[Client]:
    """All clients by name, with the disabled ones. Nothing is recorded."""
    path = load_settings().database_path
    store = open_clients(path)
    try:
        with faults_named(path):
            return await store.list_all()
    finally:
        await store.aclose()


async def disable_client(client_id: str) -> None:
    """Raises InvalidRequest if there is no such client, AuditUnavailable."""
    async with _opened() as operator:
        await operator.store.verify_exists(client_id)
        await operator.record("client.disabled", client_id=client_id)
        await operator.store.disable(client_id)


async def enable_client(client_id: str) -> None:
    """Raises InvalidRequest if there is no such client, AuditUnavailable."""
    async with _opened() as operator:
        await operator.store.verify_exists(client_id)
        await operator.record("client.enabled", client_id=client_id)
        await operator.store.enable(client_id)


async def set_roles(client_id: str, roles: Sequence[str], *, allow_unknown: bool = False) -> tuple[str, ...]:
    """Replace a client's roles, and return them.

    Raises InvalidRoles, InvalidRequest if there is no such client or role, AuditUnavailable.
    """
    names = verify_roles(list(roles))
    async with _opened(None if allow_unknown else names) as operator:
        await operator.store.verify_exists(client_id)
        await operator.record("client.roles_set", client_id=client_id, roles=list(names))
        await operator.store.set_roles(client_id, names)
        return names


async def rotate_client(client_id: str) -> ClientSecret:
    """Raises InvalidRequest if there is no such client or it is disabled, AuditUnavailable."""
    async with _opened() as operator:
        client = await operator.store.verify_active(client_id)
        await operator.record("client.rotated", client_id=client_id)
        return ClientSecret(client_id, await operator.store.rotate(client_id), client.roles)


async def revoke_token(jti: str) -> None:
    """Revoke a token for as long as any token can live, whatever TOKEN_EXPIRY_HOURS becomes.

    Raises InvalidRequest for what is not a jti, AuditUnavailable.
    """
    async with _opened() as operator:
        verify_jti(jti)
        await operator.record("token.revoked", jti=jti)
        await operator.store.revoke(jti, int(time.time() + MAX_TOKEN_HOURS * 3600))


@dataclass(frozen=True, slots=True)
class _Operator:
    store: ClientStore
    audit: AuditLog
    events: SecurityLog

    async def record(self, action: str, **details: Any) -> None:
        """Durable on return. Raises AuditUnavailable: then nothing may be changed."""
        await self.audit.record(action, user_id=None, details={**details, "by": "operator"})
        named = {name: details[name] for name in ("client_id", "jti") if name in details}
        self.events.event(action.replace(".", "_"), **named)


@asynccontextmanager
async def _opened(known_roles: Sequence[str] | None = None) -> AsyncIterator[_Operator]:
    """Raises InvalidRequest if one of *known_roles* is unknown."""
    settings = load_settings()
    verify_locks_hold(settings.audit_log_path)
    verify_setup(settings)
    if known_roles is not None:
        verify_known(known_roles, settings.models_file)
    store, events = open_clients(settings.database_path), SecurityLog(settings.security_log_path)
    audit = open_audit(settings, events)
    try:
        audit.recover()
        async with audit:
            with faults_named(settings.database_path):
                yield _Operator(store, audit, events)
    finally:
        await store.aclose()
        audit.close()
        events.close()
