"""A client database that was replaced while it was in use: noticed, and told what it lacks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine, select
from sqlalchemy.ext.asyncio import AsyncEngine

from ...kit.postgres_url import PostgresUrl
from .database import Where
from .tables import clients, revocations
from .transactions import upsert, writing


class Place(Protocol):
    """Which database is there."""

    where: Where
    what: str
    """A replaced one, in a record."""
    shows_itself: bool
    """Whether `is_same` needs no connection."""

    def identity(self) -> int:
        """Another number for another database; 0 where there is none."""

    def is_same(self) -> bool:
        """Whether it is the one that was accepted last."""

    def accept(self, identity: int) -> None:
        """From now on the database of this identity is the one to look for."""

    def watch(self, engine: Engine) -> None:
        """Look at what *engine* connects to."""


def place_of(where: Where) -> Place:
    if isinstance(where, PostgresUrl):
        from .postgres_database import PostgresPlace  # late: only where it is configured

        return PostgresPlace(where)
    return DatabasePlace(where)


class DatabasePlace:
    """Which file is at the path of the database. A look costs one system call."""

    what, shows_itself = "another file", True

    def __init__(self, path: Path) -> None:
        self.where: Where = path
        self._path = path
        self._accepted = self.identity()

    def identity(self) -> int:
        """Another number for another file; 0 where there is none."""
        try:
            found = os.stat(self._path)
        except OSError:
            return 0
        return (found.st_dev << 40 ^ found.st_ino) % 2**63 + 1

    def is_same(self) -> bool:
        """Whether it is the file that was accepted last."""
        return self.identity() == self._accepted

    def accept(self, identity: int) -> None:
        """From now on the file of this identity is the one to look for."""
        self._accepted = identity

    def watch(self, engine: Engine) -> None:
        """The path shows it."""


async def store_refusals(engine: AsyncEngine, revoked: Mapping[str, int], disabled: frozenset[str], now: int) -> None:
    """Write revocations (jti and expiry) and disabled clients into a database that lacks them."""
    async with writing(engine) as connection:
        for jti, expires_at in revoked.items():
            row = upsert(connection, revocations).values(jti=jti, expires_at=expires_at, revoked_at=now)
            await connection.execute(row.on_conflict_do_nothing())
        known = (await connection.execute(select(clients.c.client_id))).scalars()
        for client_id in disabled.intersection(known):
            await connection.execute(clients.update().where(clients.c.client_id == client_id).values(disabled=True))
