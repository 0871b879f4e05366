"""What an operator does to clients and tokens. Each change is recorded before it is made."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from ..security.api_keys.form import NewKey, is_key_id
from ..security.models import DEFAULT_SETTINGS, Client, ClientSettings
from ..security.roles import ADMIN, verify_roles, verify_user_id
from ..security.tokens.jti import verify_jti
from ..settings import MAX_TOKEN_HOURS
from .keys import revoke_key, store_key
from .operator import Operating, operating, reading_clients


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A client's new secret, maybe with a key. Show them once: only their SHA-256 is stored."""

    client_id: str
    secret: str = field(repr=False)
    roles: tuple[str, ...]
    key: NewKey | None = field(default=None, repr=False)


async def add_client(
    client_id: str,
    roles: Sequence[str],
    *,
    settings: ClientSettings = DEFAULT_SETTINGS,
    with_key: bool = False,
    allow_unknown: bool = False,
    by: Operating = operating,
) -> ClientSecret:
    """*allow_unknown*: also roles that nothing asks for.

    Raises InvalidUser, InvalidRoles, InvalidRequest if the name is taken or there is no such role,
    AuditUnavailable.
    """
    names = verify_roles(list(roles))
    verify_user_id(client_id)
    async with by(None if allow_unknown else names) as operator:
        record = operator.recording("client.added", client_id=client_id, roles=list(names), **_members(settings))
        secret = await operator.store.add(client_id, names, settings, record)
        key = await store_key(operator, client_id, names) if with_key else None
        return ClientSecret(client_id, secret, names, key)


async def list_clients() -> list[Client]:
    """All clients by name, with the disabled ones. Nothing is recorded."""
    async with reading_clients() as store:
        return await store.list_all()


async def disable_client(client_id: str, by: Operating = operating) -> None:
    """Raises InvalidRequest if there is no such client, AuditUnavailable."""
    async with by() as operator:
        record = operator.recording("client.disabled", client_id=client_id)
        await operator.store.disable(client_id, record, partial(operator.verify_left, client_id))


async def enable_client(client_id: str, by: Operating = operating) -> None:
    """Raises InvalidRequest if there is no such client, AuditUnavailable."""
    async with by() as operator:
        await operator.store.enable(client_id, operator.recording("client.enabled", client_id=client_id))


async def set_roles(
    client_id: str, roles: Sequence[str], *, allow_unknown: bool = False, by: Operating = operating
) -> tuple[str, ...]:
    """Replace a client's roles, and return them.

    Raises InvalidRoles, InvalidRequest if there is no such client or role, AuditUnavailable.
    """
    names = verify_roles(list(roles))
    async with by(None if allow_unknown else names) as operator:
        record = operator.recording("client.roles_set", client_id=client_id, roles=list(names))
        verify = None if ADMIN in names else partial(operator.verify_left, client_id)
        await operator.store.set_roles(client_id, names, record, verify)
        return names


async def change_settings(client_id: str, by: Operating = operating, **changes: Any) -> ClientSettings:
    """Change some settings of a client, and return all. None: back to those of the service.

    Raises InvalidRequest if there is no such client, AuditUnavailable.
    """
    async with by() as operator:

        async def record(settings: ClientSettings) -> None:
            await operator.record("client.settings_set", client_id=client_id, **_members(settings, always=True))

        return await operator.store.change_settings(client_id, changes, record)


async def rotate_client(client_id: str, by: Operating = operating) -> ClientSecret:
    """Raises InvalidRequest if there is no such client or it is disabled, AuditUnavailable."""
    async with by() as operator:
        client = await operator.store.verify_active(client_id)
        record = operator.recording("client.rotated", client_id=client_id)
        return ClientSecret(client_id, await operator.store.rotate(client_id, record), client.roles)


async def add_secret(client_id: str, by: Operating = operating) -> ClientSecret:
    """A second secret, beside the one that is live. Raises as `rotate_client`."""
    async with by() as operator:
        client = await operator.store.verify_active(client_id)
        record = operator.recording("client.secret_added", client_id=client_id)
        return ClientSecret(client_id, await operator.store.add_secret(client_id, record), client.roles)


async def remove_secret(client_id: str, *, newer: bool = False, by: Operating = operating) -> None:
    """Of two secrets, the older one, or the *newer*. Raises as `rotate_client`."""
    async with by() as operator:
        record = operator.recording("client.secret_removed", client_id=client_id, which="newer" if newer else "older")
        await operator.store.remove_secret(client_id, newer=newer, record=record)


async def revoke_token(jti: str, by: Operating = operating) -> None:
    """Revoke a token for as long as any token can live, whatever TOKEN_EXPIRY_HOURS becomes.

    Recorded once. The id of an API key revokes that key. Raises InvalidRequest for what is neither,
    AuditUnavailable.
    """
    if is_key_id(jti):
        await revoke_key(jti, by)
        return
    async with by() as operator:
        verify_jti(jti)
        record = operator.recording("token.revoked", jti=jti)
        await operator.store.revoke(jti, int(time.time() + MAX_TOKEN_HOURS * 3600), record)


def _members(settings: ClientSettings, always: bool = False) -> dict[str, Any]:
    """What a record says of the settings; without *always*, only of those that are set."""
    return {name: value for name, value in asdict(settings).items() if always or value}
