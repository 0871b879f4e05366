"""Counts that all processes of one service share, in batches. `kill -9` of any process loses none.

One batch is open, and all counts go there. A process that takes it owns it until it is done with
it; from then on another one is open.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .shared_window import WindowStorage
from .storage_faults import storage_faults

MAX_KINDS = 20_000
"""Kinds told apart in one batch, in about 2 MB of shared memory. The rest share one count."""
OPEN = "SELECT number, kinds FROM batches WHERE owner IS NULL"
COUNT = """
UPDATE counts SET n = n + ? WHERE user_id = ? AND network = ? AND code = ?
AND batch = (SELECT number FROM batches WHERE owner IS NULL)
"""


class Kind(NamedTuple):
    """What is counted together: the same code for the same principal or network."""

    user_id: str | None
    network: str | None
    code: str


OTHER = Kind(None, None, "other")


@dataclass(frozen=True, slots=True)
class CountBatch:
    """Taken by this process: nobody else writes it down, unless this process is killed."""

    number: int
    id: str
    """128 random bits in hex. The same one again is the same batch."""
    counted: Counter[Kind]


class SharedCounts:
    """Raises LimitsUnavailable wherever the shared memory cannot be used."""

    def __init__(self, storage: WindowStorage, owner: int = 0, owners: int = 1) -> None:
        """*owner*: the number of this process, from 0, out of *owners*.

        What its predecessor took and did not finish is its own now. The first process also has what
        was taken under numbers that no process has any more.
        """
        self._storage = storage
        self._owner, self._owners = owner, owners
        self._mine: set[str] | None = None  # None: it has taken nothing yet

    def add(self, counted: Mapping[Kind, int]) -> None:
        """All or nothing."""
        with storage_faults(), self._storage.writing() as db:
            _add(db, counted)

    def take(self, with_open: bool, counted: Mapping[Kind, int]) -> list[CountBatch]:
        """Add *counted*; the batches that are this process's now, *with_open* the open one too."""
        with storage_faults(), self._storage.writing() as db:
            _add(db, counted)
            mine = set(self._mine or ())
            if with_open:
                mine.add(taken := secrets.token_hex(16))
                db.execute("UPDATE batches SET owner = ?, id = ? WHERE owner IS NULL", (self._owner, taken))
            rows = db.execute("SELECT number, id, owner FROM batches WHERE owner IS NOT NULL ORDER BY number").fetchall()
            batches = [
                CountBatch(number, one, _counted(db, number))
                for number, one, owner in rows
                if one in mine or (self._mine is None and self._inherits(owner))
            ]
        self._mine = {one.id for one in batches}
        return batches

    def done(self, batch: CountBatch) -> None:
        """It is written down: forget it."""
        with storage_faults(), self._storage.writing() as db:
            db.execute("DELETE FROM counts WHERE batch = ?", (batch.number,))
            db.execute("DELETE FROM batches WHERE number = ?", (batch.number,))
        if self._mine:
            self._mine.discard(batch.id)

    def _inherits(self, owner: int) -> bool:
        return owner == self._owner or (self._owner == 0 and owner >= self._owners)


def _add(db: sqlite3.Connection, counted: Mapping[Kind, int]) -> None:
    for kind, count in counted.items():
        if not _count(db, kind, count):
            _begin(db, kind, count)


def _count(db: sqlite3.Connection, kind: Kind, count: int) -> bool:
    """Whether the open batch had the kind."""
    return bool(db.execute(COUNT, (count, kind.user_id or "", kind.network or "", kind.code)).rowcount)


def _begin(db: sqlite3.Connection, kind: Kind, count: int) -> None:
    """Count a kind that the open batch does not have yet."""
    number, kinds = db.execute(OPEN).fetchone() or (None, 0)
    if kinds >= MAX_KINDS:
        kind = OTHER
        if _count(db, kind, count):
            return
    if number is None:
        number = db.execute("INSERT INTO batches (kinds) VALUES (0)").lastrowid
    row = (number, kind.user_id or "", kind.network or "", kind.code, count)
    db.execute("INSERT INTO counts (batch, user_id, network, code, n) VALUES (?, ?, ?, ?, ?)", row)
    db.execute("UPDATE batches SET kinds = kinds + 1 WHERE number = ?", (number,))


def _counted(db: sqlite3.Connection, number: int) -> Counter[Kind]:
    rows = db.execute("SELECT user_id, network, code, n FROM counts WHERE batch = ?", (number,))
    return Counter({Kind(user_id or None, network or None, code): count for user_id, network, code, count in rows})
