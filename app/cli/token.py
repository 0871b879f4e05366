"""`token`: get access tokens, keep one fresh for other programs, revoke one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..kit.command import command
from ..kit.moments import iso, moment
from .output import LOCAL_URL, Json, Url, say
from .token_cache import kept_token, read_secret, token_path
from .usage import WrongUsage

token = typer.Typer(add_completion=False, invoke_without_command=True)

CLIENT_ID, CLIENT_SECRET = "--client-id (or SECURE_AI_CLIENT_ID)", "--client-secret (or SECURE_AI_CLIENT_SECRET)"
SECRET = "--secret-file (or SECURE_AI_CLIENT_SECRET)"  # noqa: S105 - its name
ClientId = Annotated[str, typer.Option(envvar="SECURE_AI_CLIENT_ID", help="The client's name.")]
Scope = Annotated[str, typer.Option(help="Roles, separated by spaces. Left out: all roles of the client.")]


@token.callback()
def token_new(
    context: typer.Context,
    client_id: ClientId = "",
    client_secret: Annotated[
        str, typer.Option(envvar="SECURE_AI_CLIENT_SECRET", help="Set it in the environment: `ps` shows arguments to all users.")
    ] = "",
    scope: Scope = "",
    url: Url = LOCAL_URL,
    as_json: Json = False,
) -> None:
    """Alone, it prints a new token of a running service; `get` keeps one, `revoke` ends one."""
    if context.invoked_subcommand:
        if any(getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE" for name in context.params):
            raise WrongUsage(f"Options of token {context.invoked_subcommand} stand after {context.invoked_subcommand}.")
        return
    _verify_given({CLIENT_ID: client_id, CLIENT_SECRET: client_secret})
    document = _fetch(url, client_id, client_secret, scope)
    say(document, as_json, document["access_token"])


@token.command("get")
def token_get(
    client_id: ClientId = "",
    secret_file: Annotated[
        Path | None,
        typer.Option(
            envvar="SECURE_AI_CLIENT_SECRET_FILE",
            help="A file of mode 0600 that holds the client's secret alone. Left out: SECURE_AI_CLIENT_SECRET.",
        ),
    ] = None,
    scope: Scope = "",
    url: Url = LOCAL_URL,
    alone: Annotated[bool, typer.Option("--print", help="Print the token and nothing else, for another program.")] = False,
    renew: Annotated[bool, typer.Option("--renew", help="Get a new one, also if the kept one is valid: it was revoked.")] = False,
    as_json: Json = False,
) -> None:
    """Get an access token that is kept on this machine and renewed before it expires.

    Only this user can read it, in a file below XDG_CACHE_HOME or ~/.cache.
    It is renewed when less than a quarter of its life is left, once for all programs.
    """
    secret = os.environ.get("SECURE_AI_CLIENT_SECRET", "") if secret_file is None else read_secret(secret_file)
    _verify_given({CLIENT_ID: client_id, SECRET: secret})
    path = token_path(url, client_id, scope)

    fetch = partial(_fetch, url, client_id, secret, scope)
    kept = kept_token(path, fetch, renew=renew, warn=partial(print, file=sys.stderr))
    expires_at = iso(moment(kept.expires_at))
    document = {
        "access_token": kept.access_token,
        "token_type": "Bearer",
        "expires_in": max(0, kept.expires_at - int(time.time())),
        "scope": kept.scope,
        "expires_at": expires_at,
        "kept_in": str(path),
    }
    lines = [f"client_id  {client_id}", f"scope      {kept.scope}", f"expires    {expires_at}", f"kept in    {path}"]
    say(document, as_json, kept.access_token if alone else "\n".join(lines))


@token.command("revoke")
def token_revoke(
    jti: Annotated[str, typer.Argument(help="The token's id: 32 hex digits, in its token.issued record. Or the id of a key.")],
    as_json: Json = False,
) -> None:
    """Revoke one token, or an API key. The service refuses it within a second."""
    from .clients import revoke_any  # late: the other commands of `token` need no database

    revoke_any(jti)
    say({"jti": jti, "revoked": True}, as_json, f"{jti} is revoked")


def _fetch(url: str, client_id: str, secret: str, scope: str) -> dict[str, Any]:
    from .http_client import fetch_token  # late: a kept token needs no network

    return fetch_token(url, client_id, secret, scope or None)


def _verify_given(options: Mapping[str, str]) -> None:
    """Raises WrongUsage for those without a value."""
    missing = [name for name, value in options.items() if not value]
    if missing:
        made_by = command("clients add NAME --role ROLE")
        raise WrongUsage(f"Missing {' and '.join(missing)}. {made_by} makes a client with a secret.")
