"""/admin/clients, /admin/keys, /admin/tokens: the changes that the commands make, over HTTP."""

from __future__ import annotations

from typing import Any

from fastapi import Request, Response

from ..admin import clients as changes
from ..admin import keys
from ..api.dependencies import ServicesDep
from ..security.models import ClientSettings
from . import admin_bodies as bodies
from .admin_routes import changed, document, done, router, shown
from .dependencies import Admin, OperatingDep, naming_clients, read_body_as

__all__ = ["router"]


@shown("/clients", "All clients", bodies.ClientsBody)
async def clients_list(_: Admin, services: ServicesDep) -> Response:
    return document({"clients": [bodies.client_body(one) for one in await services.clients.list_all()]})


@changed("/clients", "Add a client; its secret is shown once", bodies.NewClient, bodies.SecretBody)
async def clients_add(by: OperatingDep, request: Request) -> Response:
    new = await read_body_as(request, bodies.NewClient)
    settings = ClientSettings(new.token_seconds, new.rpm, new.front_end)
    options: dict[str, Any] = {"settings": settings, "with_key": new.key, "allow_unknown": new.allow_unknown_role}
    with naming_clients():
        return document(bodies.secret_body(await changes.add_client(new.client_id, new.roles, **options, by=by)))


@changed("/clients/{client_id}/disable", "Refuse a client, its tokens and its keys")
async def clients_disable(by: OperatingDep, client_id: bodies.ClientId) -> Response:
    await changes.disable_client(client_id, by)
    return done()


@changed("/clients/{client_id}/enable", "Accept a disabled client again")
async def clients_enable(by: OperatingDep, client_id: bodies.ClientId) -> Response:
    await changes.enable_client(client_id, by)
    return done()


@changed("/clients/{client_id}/roles", "Replace a client's roles", bodies.NewRoles)
async def clients_roles(by: OperatingDep, request: Request, client_id: bodies.ClientId) -> Response:
    new = await read_body_as(request, bodies.NewRoles)
    with naming_clients():
        await changes.set_roles(client_id, new.roles, allow_unknown=new.allow_unknown_role, by=by)
    return done()


@changed("/clients/{client_id}/settings", "Change some settings of a client", bodies.NewSettings)
async def clients_settings(by: OperatingDep, request: Request, client_id: bodies.ClientId) -> Response:
    new = (await read_body_as(request, bodies.NewSettings)).model_dump(exclude_unset=True)
    if "front_end" in new:
        new["front_end"] = bool(new["front_end"])
    await changes.change_settings(client_id, by, **new)
    return done()


@changed("/clients/{client_id}/rotate", "Replace a client's secrets by a new one, shown once", None, bodies.SecretBody)
async def clients_rotate(by: OperatingDep, client_id: bodies.ClientId) -> Response:
    return document(bodies.secret_body(await changes.rotate_client(client_id, by)))


@changed("/clients/{client_id}/secrets", "Add a second secret, shown once", None, bodies.SecretBody)
async def secrets_add(by: OperatingDep, client_id: bodies.ClientId) -> Response:
    return document(bodies.secret_body(await changes.add_secret(client_id, by)))


@changed("/clients/{client_id}/secrets/remove", "Refuse one of two secrets", bodies.WhichSecret)
async def secrets_remove(by: OperatingDep, request: Request, client_id: bodies.ClientId) -> Response:
    which = await read_body_as(request, bodies.WhichSecret)
    await changes.remove_secret(client_id, newer=which.newer, by=by)
    return done()


@shown("/keys", "All API keys, or those of one client", bodies.ApiKeysBody)
async def keys_list(_: Admin, services: ServicesDep, client_id: str = "") -> Response:
    found = await services.clients.keys.list_all(client_id or None)
    return document({"keys": [bodies.key_body(one) for one in found]})


@changed("/keys", "Add an API key, shown once", bodies.NewApiKey, bodies.AddedKeyBody)
async def keys_add(by: OperatingDep, request: Request) -> Response:
    new = await read_body_as(request, bodies.NewApiKey)
    options: dict[str, Any] = {"name": new.name, "rpm": new.rpm, "expires_in": new.expires_in}
    with naming_clients():
        return document(bodies.added_key_body(await keys.add_key(new.client_id, new.roles, **options, by=by)))


@changed("/keys/{key_id}/revoke", "Revoke an API key")
async def keys_revoke(by: OperatingDep, key_id: bodies.KeyId) -> Response:
    await keys.revoke_key(key_id, by)
    return done()


@changed("/tokens/{jti}/revoke", "Revoke an access token by its jti")
async def tokens_revoke(by: OperatingDep, jti: bodies.Jti) -> Response:
    await changes.revoke_token(jti, by)
    return done()
