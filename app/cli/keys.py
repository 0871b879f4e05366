"""`keys`: the API keys of the clients."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ..admin import keys as admin
from ..catalogue.caps import MAX_PER_MINUTE
from ..errors import InvalidRequest
from ..kit.command import command
from ..kit.moments import SECONDS, duration, iso
from ..security.token_errors import InvalidRoles
from .output import Json, say
from .usage import WrongUsage, argument, one_each

keys = typer.Typer(add_completion=False, no_args_is_help=True)
MAX_EXPIRY_SECONDS = 3650 * SECONDS["d"]


@keys.command("add")
def keys_add(
    client_id: Annotated[str, typer.Argument(metavar="CLIENT", help="The client that the key acts for.")],
    role: Annotated[
        list[str] | None, typer.Option("--role", help="One of the client's roles; repeatable. Left out: all.", callback=one_each)
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="How long it is valid: 90d, 12h, 30m. Left out: until it is revoked.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What it is for, such as laptop: shown in lists.")] = None,
    rpm: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_PER_MINUTE, help="At most so many of the client's requests a minute with this key."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make an API key for a client and show it. The key is not stored: copy it now."""
    seconds = None if expires is None else length_of_time("--expires", expires, MAX_EXPIRY_SECONDS)
    with argument("--role", InvalidRoles):
        added = asyncio.run(admin.add_key(client_id, role or (), name=name, rpm=rpm, expires_in=seconds))
    expires_at = iso(added.expires_at) if added.expires_at else None
    document = {
        "key_id": added.key_id,
        "key": added.key,
        "client_id": added.client_id,
        "roles": list(added.roles),
        "expires_at": expires_at,
        "name": added.name,
    }
    lines = [
        *key_lines(added.key_id, added.key),
        f"roles          {' '.join(added.roles)}",
        f"expires        {expires_at or 'never'}",
    ]
    say(document, as_json, "\n".join(lines))


@keys.command("list")
def keys_list(
    client_id: Annotated[str | None, typer.Argument(metavar="[CLIENT]", help="Only the keys of this client.")] = None,
    as_json: Json = False,
) -> None:
    """List API keys without their secrets, the expired and revoked ones too."""
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {
            "key_id": one.key_id,
            "client_id": one.client_id,
            "name": one.name,
            "state": one.state(now),
            "roles": list(one.roles),
            "rpm": one.rpm,
            "created_at": iso(one.created_at),
            "expires_at": iso(one.expires_at) if one.expires_at else None,
            "revoked_at": iso(one.revoked_at) if one.revoked_at else None,
        }
        for one in asyncio.run(admin.list_keys(client_id))
    ]
    lines = [
        f"{row['key_id']}  {row['client_id']:<32}  {row['state']:<7}  expires {row['expires_at'] or 'never':<20}  "
        f"{' '.join(row['roles'])}  {row['name'] or ''}".rstrip()
        for row in rows
    ]
    say(rows, as_json, "\n".join(lines) or f"no keys yet: {command('keys add CLIENT')}")


@keys.command("revoke")
def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="The 11 characters after saa_, as keys list shows them.")], as_json: Json = False
) -> None:
    """Revoke one API key. The service refuses it within a second."""
    with argument("KEY_ID", InvalidRequest):
        revoked = asyncio.run(admin.revoke_key(key_id))
    document = {"key_id": revoked.key_id, "client_id": revoked.client_id, "revoked": True}
    say(document, as_json, f"key {revoked.key_id} of {revoked.client_id} is revoked")


def key_lines(key_id: str, key: str) -> list[str]:
    return [f"key_id         {key_id}", f"key            {key}   (shown only now)"]


def length_of_time(option: str, text: str, most: int) -> int:
    """The seconds of *text*. Raises WrongUsage."""
    try:
        return duration(text, most)
    except ValueError as error:
        raise WrongUsage(f"Invalid value for {option}: {error}.") from None
