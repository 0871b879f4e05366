"""One client in the database: found by its name, read, or refused with a sentence."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, Table, bindparam, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ...errors import InvalidRequest
from ...kit.command import command
from ...kit.moments import moment
from ..models import Client, ClientSettings
from ..roles import is_user_id
from .database import TIMEOUT_SECONDS, Where, connected
from .tables import clients

NO_DIGEST = "0" * 64
"""Stands where there is nothing to compare with: no secret has this SHA-256."""
WANTED = "wanted"


def lookup(table: Table, **decoy: object) -> Any:
    """Selects one row in any case: the one with the primary key WANTED, or *decoy*.

    So an id that is not there takes as long as one that is. Columns that are not named are NULL.
    """
    (key,) = table.primary_key
    values = [literal(decoy.get(column.name), column.type).label(column.name) for column in table.c]
    return select(table).where(key == bindparam(WANTED)).union_all(select(*values)).limit(1)


CLIENT_OR_DECOY = lookup(clients, client_id="", secret_sha256=NO_DIGEST)


async def find_or_decoy(connection: AsyncConnection, client_id: str) -> Row[Any]:
    """The row of a client; for an unknown one, a row whose id is "". Both take as long.

    A malformed id may hold a lone surrogate, which SQLite does not take.
    """
    wanted = client_id if is_user_id(client_id) else ""
    return (await connection.execute(CLIENT_OR_DECOY, {WANTED: wanted})).one()


async def every(connection: AsyncConnection) -> list[Client]:
    """All clients by name, including the disabled ones."""
    rows = (await connection.execute(select(clients).order_by(clients.c.client_id))).all()
    return [client_of(row) for row in rows]


async def existing(connection: AsyncConnection, client_id: str) -> Row[Any]:
    """Raises InvalidRequest if there is no such client."""
    row = await find_or_decoy(connection, client_id)
    if not row.client_id:
        raise InvalidRequest(f"There is no such client. {command('clients list')} shows all clients.")
    return row


async def active(connection: AsyncConnection, client_id: str) -> Row[Any]:
    """Raises InvalidRequest if there is no such client or it is disabled."""
    row = await existing(connection, client_id)
    if row.disabled:
        enable = command(f"clients enable {client_id}")
        raise InvalidRequest(f"Client {client_id} is disabled. {enable} enables it again.")
    return row


async def update(connection: AsyncConnection, client_id: str, **values: Any) -> None:
    await connection.execute(clients.update().where(clients.c.client_id == client_id).values(**values))


def client_of(row: Row[Any]) -> Client:
    roles, secrets = tuple(row.roles.split(" ")), 1 if row.second_sha256 is None else 2
    return Client(row.client_id, roles, row.disabled, moment(row.created_at), settings_of(row), secrets)


def settings_of(row: Row[Any]) -> ClientSettings:
    return ClientSettings(row.token_seconds, row.rpm, bool(row.front_end))


def has_active_client(where: Where, timeout: float = TIMEOUT_SECONDS) -> bool:
    """Whether anybody can get a token. For code without an event loop; the schema is verified."""
    with connected(where, timeout) as connection:
        return connection.execute(select(clients.c.client_id).where(~clients.c.disabled).limit(1)).first() is not None


def name_taken(client_id: str) -> InvalidRequest:
    return InvalidRequest(
        f"Client {client_id} exists already. Choose another name, "
        f"or run {command(f'clients rotate {client_id}')} for a new secret."
    )


def verify_secrets(client: Client, count: int) -> None:
    """Raises InvalidRequest unless *count* secrets of an active client are live."""
    name = client.client_id
    if client.secrets > count:
        removes = command(f"clients remove-secret {name}")
        raise InvalidRequest(f"Client {name} has two secrets already. {removes} removes the older one.")
    if client.secrets < count:
        raise InvalidRequest(f"Client {name} has one secret. {command(f'clients disable {name}')} refuses it.")
