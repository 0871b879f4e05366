"""`clients` and `token`: register clients, get and revoke access tokens."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer

from ..errors import InvalidRequest, InvalidRoles, InvalidUser
from ..kit.command import command
from .output import LOCAL_URL, Json, Url, say
from .usage import WrongUsage, argument

T = TypeVar("T")

clients = typer.Typer(help="Register the programs and people who may get access tokens.", no_args_is_help=True)
token = typer.Typer(help="Get an access token, or revoke one.", invoke_without_command=True)

CLIENT_ID, CLIENT_SECRET = "--client-id (or SECURE_AI_CLIENT_ID)", "--client-secret (or SECURE_AI_CLIENT_SECRET)"
ClientId = Annotated[str, typer.Argument(help="The client's name: 3 to 32 characters of A-Z a-z 0-9 _ -")]
Roles = Annotated[
    list[str], typer.Option("--role", help="ai.playground.user may ask, ai.audit.reader may read the log; repeatable.")
]
AllowUnknown = Annotated[
    bool, typer.Option("--allow-unknown-role", help="Also take roles that no endpoint and no model asks for.")
]


@clients.command("add")
def clients_add(
    client_id: ClientId,
    role: Roles,
    allow_unknown_role: AllowUnknown = False,
    as_json: Json = False,
) -> None:
    """Register a client and show its secret. The secret is not stored: copy it now."""
    from ..admin.clients import add_client  # late: start-up

    with argument("CLIENT_ID", InvalidUser), argument("--role", InvalidRoles):
        added = _run(add_client(client_id, role, allow_unknown=allow_unknown_role))
    document = {"client_id": added.client_id, "client_secret": added.secret, "roles": list(added.roles)}
    say(document, as_json, f"{_secret_lines(added.client_id, added.secret)}\nroles          {' '.join(added.roles)}")


@clients.command("list")
def clients_list(as_json: Json = False) -> None:
    """List all clients with their roles and state."""
    from ..admin.clients import list_clients  # late: start-up
    from ..security.roles import ADD_CLIENT  # late: start-up

    rows: list[dict[str, Any]] = [
        {
            "client_id": one.client_id,
            "roles": list(one.roles),
            "disabled": one.disabled,
            "created_at": one.created_at.isoformat().replace("+00:00", "Z"),
        }
        for one in _run(list_clients())
    ]
    lines = [
        f"{row['client_id']:<32}  {'disabled' if row['disabled'] else 'active':<8}  {row['created_at']}  {' '.join(row['roles'])}"
        for row in rows
    ]
    say(rows, as_json, "\n".join(lines) or f"no clients yet: {command(ADD_CLIENT)}")


@clients.command("disable")
def clients_disable(client_id: ClientId, as_json: Json = False) -> None:
    """Disable a client. The service refuses it and all its tokens within a second."""
    from ..admin.clients import disable_client  # late: start-up

    _run(disable_client(client_id))
    say({"client_id": client_id, "disabled": True}, as_json, f"{client_id} is disabled")


@clients.command("enable")
def clients_enable(client_id: ClientId, as_json: Json = False) -> None:
    """Enable a client that was disabled. Its secret and its unexpired tokens work again."""
    from ..admin.clients import enable_client  # late: start-up

    _run(enable_client(client_id))
    again = f"{client_id} is enabled: its secret and its unexpired tokens work again within a second"
    say({"client_id": client_id, "disabled": False}, as_json, again)


@clients.command("set-roles")
def clients_set_roles(
    client_id: ClientId,
    role: Roles,
    allow_unknown_role: AllowUnknown = False,
    as_json: Json = False,
) -> None:
    """Replace a client's roles. Its tokens lose roles within a second; new roles need a new one."""
    from ..admin.clients import set_roles  # late: start-up

    with argument("--role", InvalidRoles):
        roles = _run(set_roles(client_id, role, allow_unknown=allow_unknown_role))
    say({"client_id": client_id, "roles": list(roles)}, as_json, f"{client_id} has the roles {' '.join(roles)}")


@clients.command("rotate")
def clients_rotate(client_id: ClientId, as_json: Json = False) -> None:
    """Replace a client's secret. The old one stops working at once; issued tokens stay valid."""
    from ..admin.clients import rotate_client  # late: start-up

    rotated = _run(rotate_client(client_id))
    document = {"client_id": rotated.client_id, "client_secret": rotated.secret}
    say(document, as_json, _secret_lines(rotated.client_id, rotated.secret))


@token.callback()
def token_get(
    context: typer.Context,
    client_id: Annotated[str, typer.Option(envvar="SECURE_AI_CLIENT_ID", help="The client's name.")] = "",
    client_secret: Annotated[
        str, typer.Option(envvar="SECURE_AI_CLIENT_SECRET", help="Set it in the environment: `ps` shows arguments to all users.")
    ] = "",
    scope: Annotated[str, typer.Option(help="Roles, separated by spaces. Left out: all roles of the client.")] = "",
    url: Url = LOCAL_URL,
    as_json: Json = False,
) -> None:
    """Get an access token from a running service. `token revoke JTI` revokes one."""
    if context.invoked_subcommand:
        return
    from .http_client import fetch_token  # late: start-up

    if not client_id or not client_secret:
        missing = " and ".join(name for name, value in ((CLIENT_ID, client_id), (CLIENT_SECRET, client_secret)) if not value)
        raise WrongUsage(f"Missing {missing}. {command('clients add NAME --role ROLE')} makes a client with a secret.")
    document = fetch_token(url, client_id, client_secret, scope or None)
    say(document, as_json, document["access_token"])


@token.command("revoke")
def token_revoke(
    jti: Annotated[str, typer.Argument(help="The token's id: 32 hex digits, in its token.issued record.")], as_json: Json = False
) -> None:
    """Revoke one token. The service refuses it within a second."""
    from ..admin.clients import revoke_token  # late: start-up

    with argument("JTI", InvalidRequest):
        _run(revoke_token(jti))
    say({"jti": jti, "revoked": True}, as_json, f"{jti} is revoked")


def _secret_lines(client_id: str, secret: str) -> str:
    return f"client_id      {client_id}\nclient_secret  {secret}   (shown only now)"


def _run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio  # late: start-up

    return asyncio.run(work)
