"""A client database that was replaced while it was in use: noticed, and told what it lacks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncEngine

from .tables import clients, revocations
from .transactions import writing


class DatabasePlace:
    """Which file is at the path of the database. A look costs one system call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._accepted = self.identity()

    def identity(self) -> int:
        """Another number for another file; 0 where there is none."""
        try:
            found = os.stat(self.path)
        except OSError:
            return 0
        return (found.st_dev << 40 ^ found.st_ino) % 2**63 + 1

    def is_same(self) -> bool:
        """Whether it is the file that was accepted last."""
        return self.identity() == self._accepted

    def accept(self, identity: int) -> None:
        """From now on the file of this identity is the one to look for."""
        self._accepted = identity


async def store_refusals(engine: AsyncEngine, revoked: Mapping[str, int], disabled: frozenset[str], now: int) -> None:
    """Write revocations (jti and expiry) and disabled clients into a database that lacks them."""
    async with writing(engine) as connection:
        for jti, expires_at in revoked.items():
            row = upsert(revocations).values(jti=jti, expires_at=expires_at, revoked_at=now)
            await connection.execute(row.on_conflict_do_nothing())
        known = (await connection.execute(select(clients.c.client_id))).scalars()
        for client_id in disabled.intersection(known):
            await connection.execute(clients.update().where(clients.c.client_id == client_id).values(disabled=True))
