"""`clients` and `token`: who may have access tokens, and getting or revoking one."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer

from .output import LOCAL_URL, Json, Url, say

T = TypeVar("T")


clients = typer.Typer(help="Who may have tokens.", no_args_is_help=True)


token = typer.Typer(help="Access tokens.", invoke_without_command=True)


@clients.command("add")
def clients_add(
    client_id: Annotated[str, typer.Argument(help="3 to 32 characters of A-Z a-z 0-9 _ -")],
    role: Annotated[list[str], typer.Option(help="May be repeated: ai.playground.user, ai.audit.reader")],
    as_json: Json = False,
) -> None:
    """Register a client. Its secret is shown once, here."""
    from ..admin import clients as operator_tasks

    secret, roles = _run(operator_tasks.add_client(client_id, role))
    document = {"client_id": client_id, "client_secret": secret, "roles": roles}
    say(
        document,
        as_json,
        f"client_id      {client_id}\nclient_secret  {secret}   (shown only now)\nroles          {' '.join(roles)}",
    )


@clients.command("list")
def clients_list(as_json: Json = False) -> None:
    """All clients; no secrets."""
    from ..admin import clients as operator_tasks

    found = _run(operator_tasks.list_clients())
    rows = [
        {
            "client_id": one.client_id,
            "roles": list(one.roles),
            "disabled": one.disabled,
            "created_at": one.created_at.isoformat().replace("+00:00", "Z"),
        }
        for one in found
    ]
    text = "\n".join(
        f"{one.client_id:<32}  {'disabled' if one.disabled else 'active':<8}  {row['created_at']}  {' '.join(one.roles)}"
        for one, row in zip(found, rows, strict=True)
    )
    say(rows, as_json, text or "no clients yet: python -m app clients add NAME --role ai.playground.user")


@clients.command("disable")
def clients_disable(client_id: str, as_json: Json = False) -> None:
    """Refuse a client and all its tokens, within a second."""
    from ..admin import clients as operator_tasks

    _run(operator_tasks.disable_client(client_id))
    say({"client_id": client_id, "disabled": True}, as_json, f"{client_id} is disabled")


@clients.command("rotate")
def clients_rotate(client_id: str, as_json: Json = False) -> None:
    """Give a client another secret; the old one is dead at once."""
    from ..admin import clients as operator_tasks

    secret = _run(operator_tasks.rotate_client(client_id))
    say(
        {"client_id": client_id, "client_secret": secret},
        as_json,
        f"client_id      {client_id}\nclient_secret  {secret}   (shown only now)",
    )


@token.callback()
def token_get(
    context: typer.Context,
    client_id: Annotated[str, typer.Option(envvar="SECURE_AI_CLIENT_ID")] = "",
    client_secret: Annotated[str, typer.Option(envvar="SECURE_AI_CLIENT_SECRET", help="Better in the environment.")] = "",
    scope: Annotated[str, typer.Option(help="Roles, separated by spaces; all if left out.")] = "",
    url: Url = LOCAL_URL,
    as_json: Json = False,
) -> None:
    """Fetch an access token from a running service; `token revoke JTI` takes one back."""
    if context.invoked_subcommand:
        return
    from . import http_client as client

    if not client_id or not client_secret:
        raise typer.BadParameter("--client-id and --client-secret (or SECURE_AI_CLIENT_ID, SECURE_AI_CLIENT_SECRET)")
    document = client.fetch_token(url, client_id, client_secret, scope or None)
    say(document, as_json, document["access_token"])


@token.command("revoke")
def token_revoke(jti: Annotated[str, typer.Argument(help="The token's jti: 32 hex digits.")], as_json: Json = False) -> None:
    """Refuse one token, within a second."""
    from ..admin import clients as operator_tasks

    _run(operator_tasks.revoke_token(jti))
    say({"jti": jti, "revoked": True}, as_json, f"{jti} is revoked")


def _run(work: Coroutine[Any, Any, T]) -> T:
    import asyncio

    return asyncio.run(work)
