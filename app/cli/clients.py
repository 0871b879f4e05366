"""`clients`: register the programs and people who may get access tokens."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

import typer

from ..admin import clients as admin
from ..catalogue.caps import MAX_PER_MINUTE
from ..errors import InvalidRequest
from ..kit.command import command
from ..kit.moments import iso
from ..security.models import ClientSettings
from ..security.roles import ADD_CLIENT, ADMIN, ASK, AUDIT_READER, INTROSPECT
from ..security.token_errors import InvalidRoles, InvalidUser
from ..settings import MAX_TOKEN_HOURS
from .keys import key_lines, length_of_time
from .output import Json, say
from .usage import WrongUsage, argument, one_each

clients = typer.Typer(add_completion=False, no_args_is_help=True)

DEFAULT = "default"
ClientId = Annotated[str, typer.Argument(help=InvalidUser.detail)]
ROLES = (
    f"{ASK} may ask, {AUDIT_READER} may read the log, {INTROSPECT} may look at everyone's tokens, "
    f"{ADMIN} may administer over the network; repeatable."
)
Roles = Annotated[list[str], typer.Option("--role", help=ROLES, callback=one_each)]
AllowUnknown = Annotated[
    bool, typer.Option("--allow-unknown-role", help="Also take roles that no endpoint and no model asks for.")
]
TokenLifetime = Annotated[
    str | None, typer.Option(help="How long its access tokens live, such as 12h; `default`: as TOKEN_EXPIRY_HOURS says.")
]
Rpm = Annotated[str | None, typer.Option(help="Its requests a minute, also above RATE_LIMIT; `default`: RATE_LIMIT.")]
FRONT_END = "It may name the users that it asks for, as Open WebUI does."


@clients.command("add")
def clients_add(
    client_id: ClientId,
    role: Annotated[list[str] | None, typer.Option("--role", help=f"{ROLES} Left out: {ASK}.", callback=one_each)] = None,
    key: Annotated[bool, typer.Option("--key", help="Make an API key too; `keys add` makes more.")] = False,
    token_lifetime: TokenLifetime = None,
    rpm: Rpm = None,
    front_end: Annotated[bool, typer.Option("--front-end", help=FRONT_END)] = False,
    allow_unknown_role: AllowUnknown = False,
    as_json: Json = False,
) -> None:
    """Register a client and show its secret. The secret is not stored: copy it now."""
    settings = ClientSettings(**_settings(token_lifetime, rpm), front_end=front_end)
    with argument("CLIENT_ID", InvalidUser), argument("--role", InvalidRoles):
        added = asyncio.run(
            admin.add_client(client_id, role or [ASK], settings=settings, with_key=key, allow_unknown=allow_unknown_role)
        )
    document = {"client_id": added.client_id, "client_secret": added.secret, "roles": list(added.roles)}
    lines = [_secret_lines(added.client_id, added.secret), f"roles          {' '.join(added.roles)}"]
    if added.key is not None:
        document |= added.key._asdict()
        lines += key_lines(*added.key)
    say(document, as_json, "\n".join(lines))


@clients.command("list")
def clients_list(as_json: Json = False) -> None:
    """List all clients with their roles and state."""
    rows: list[dict[str, Any]] = [
        {
            "client_id": one.client_id,
            "roles": list(one.roles),
            "disabled": one.disabled,
            "created_at": iso(one.created_at),
            "token_seconds": one.settings.token_seconds,
            "rpm": one.settings.rpm,
            "secrets": one.secrets,
            "front_end": one.settings.front_end,
        }
        for one in asyncio.run(admin.list_clients())
    ]
    lines = [
        f"{row['client_id']:<32}  {'disabled' if row['disabled'] else 'active':<8}  {row['created_at']}  {' '.join(row['roles'])}"
        for row in rows
    ]
    say(rows, as_json, "\n".join(lines) or f"no clients yet: {command(ADD_CLIENT)}")


@clients.command("disable")
def clients_disable(client_id: ClientId, as_json: Json = False) -> None:
    """Disable a client. The service refuses it, its tokens and its keys within a second."""
    asyncio.run(admin.disable_client(client_id))
    say({"client_id": client_id, "disabled": True}, as_json, f"{client_id} is disabled")


@clients.command("enable")
def clients_enable(client_id: ClientId, as_json: Json = False) -> None:
    """Enable a client that was disabled. Its secret, unexpired tokens and keys work again."""
    asyncio.run(admin.enable_client(client_id))
    again = f"{client_id} is enabled: its secret, unexpired tokens and keys work again within a second"
    say({"client_id": client_id, "disabled": False}, as_json, again)


@clients.command("set-roles")
def clients_set_roles(
    client_id: ClientId,
    role: Roles,
    allow_unknown_role: AllowUnknown = False,
    as_json: Json = False,
) -> None:
    """Replace a client's roles. Its tokens and keys lose roles within a second, and gain none."""
    with argument("--role", InvalidRoles):
        roles = asyncio.run(admin.set_roles(client_id, role, allow_unknown=allow_unknown_role))
    say({"client_id": client_id, "roles": list(roles)}, as_json, f"{client_id} has the roles {' '.join(roles)}")


@clients.command("rotate")
def clients_rotate(client_id: ClientId, as_json: Json = False) -> None:
    """Replace a client's secrets by a new one. The old ones stop working at once; tokens stay."""
    _say_secret(asyncio.run(admin.rotate_client(client_id)), as_json)


@clients.command("add-secret")
def clients_add_secret(client_id: ClientId, as_json: Json = False) -> None:
    """Give a client a second secret. Both work, until `remove-secret` removes the older one."""
    _say_secret(asyncio.run(admin.add_secret(client_id)), as_json)


@clients.command("remove-secret")
def clients_remove_secret(
    client_id: ClientId,
    newer: Annotated[bool, typer.Option("--newer", help="Remove the newer one.")] = False,
    as_json: Json = False,
) -> None:
    """Remove the older of a client's two secrets. It stops working at once."""
    asyncio.run(admin.remove_secret(client_id, newer=newer))
    say({"client_id": client_id, "secrets": 1}, as_json, f"{client_id} has one secret: the {'older' if newer else 'newer'} one")


@clients.command("set")
def clients_set(
    client_id: ClientId,
    token_lifetime: TokenLifetime = None,
    rpm: Rpm = None,
    front_end: Annotated[bool | None, typer.Option(help=FRONT_END)] = None,
    as_json: Json = False,
) -> None:
    """Set a client's token lifetime, requests a minute, or whether it is a front end.

    Applies within a second.
    """
    changes = _settings(token_lifetime, rpm) | ({} if front_end is None else {"front_end": front_end})
    if not changes:
        raise WrongUsage("Missing --token-lifetime, --rpm or --front-end: nothing is set.")
    settings = asyncio.run(admin.change_settings(client_id, **changes))
    document: dict[str, Any] = {"client_id": client_id, **asdict(settings)}
    say(document, as_json, "\n".join(f"{name:<13}  {_shown(value)}" for name, value in document.items()))


def revoke_any(jti: str) -> None:
    """Revoke a token or a key, by its id."""
    with argument("JTI", InvalidRequest):
        asyncio.run(admin.revoke_token(jti))


def _settings(token_lifetime: str | None, rpm: str | None) -> dict[str, Any]:
    """Those that were given. None: as the service has it. Raises WrongUsage."""
    found: dict[str, Any] = {}
    if token_lifetime is not None:
        is_own = token_lifetime != DEFAULT
        found["token_seconds"] = length_of_time("--token-lifetime", token_lifetime, MAX_TOKEN_HOURS * 3600) if is_own else None
    if rpm is not None:
        if rpm != DEFAULT and not (rpm.isascii() and rpm.isdecimal() and len(rpm) < 9 and 1 <= int(rpm) <= MAX_PER_MINUTE):
            raise WrongUsage(f"Invalid value for --rpm: it is a whole number from 1 to {MAX_PER_MINUTE:,}, or {DEFAULT}.")
        found["rpm"] = int(rpm) if rpm != DEFAULT else None
    return found


def _shown(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return DEFAULT if value is None else value


def _say_secret(one: admin.ClientSecret, as_json: bool) -> None:
    document = {"client_id": one.client_id, "client_secret": one.secret}
    say(document, as_json, _secret_lines(one.client_id, one.secret))


def _secret_lines(client_id: str, secret: str) -> str:
    return f"client_id      {client_id}\nclient_secret  {secret}   (shown only now)"
