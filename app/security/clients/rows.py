"""One client in the database: found by its name, read, or refused with a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ...errors import InvalidRequest
from ...kit.command import command
from ..models import Client
from ..roles import is_user_id
from .database import TIMEOUT_SECONDS, connected
from .tables import clients


async def find(connection: AsyncConnection, client_id: str) -> Row[Any] | None:
    """A malformed id is looked up as "": as slow, and no lone surrogate reaches SQLite."""
    wanted = client_id if is_user_id(client_id) else ""
    return (await connection.execute(select(clients).where(clients.c.client_id == wanted))).first()


async def existing(connection: AsyncConnection, client_id: str) -> Row[Any]:
    """Raises InvalidRequest if there is no such client."""
    row = await find(connection, client_id)
    if row is None:
        raise InvalidRequest(f"There is no such client. {command('clients list')} shows all clients.")
    return row


async def active(connection: AsyncConnection, client_id: str) -> Row[Any]:
    """Raises InvalidRequest if there is no such client or it is disabled."""
    row = await existing(connection, client_id)
    if row.disabled:
        enable = command(f"clients enable {client_id}")
        raise InvalidRequest(f"Client {client_id} is disabled. {enable} enables it again.")
    return row


def client_of(row: Row[Any]) -> Client:
    created_at = datetime.fromtimestamp(row.created_at, UTC)
    return Client(row.client_id, tuple(row.roles.split(" ")), row.disabled, created_at)


def has_active_client(path: Path, timeout: float = TIMEOUT_SECONDS) -> bool:
    """Whether anybody can get a token. For code without an event loop; the schema is verified."""
    with connected(path, timeout) as connection:
        return connection.execute(select(clients.c.client_id).where(~clients.c.disabled).limit(1)).first() is not None


def name_taken(client_id: str) -> InvalidRequest:
    return InvalidRequest(
        f"Client {client_id} exists already. Choose another name, "
        f"or run {command(f'clients rotate {client_id}')} for a new secret."
    )
