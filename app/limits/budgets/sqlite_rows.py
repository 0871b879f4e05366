"""The tables of the budgets' store in SQLite, and what is read from and written to them."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .advances import Granted, Held, Offer
from .batch import bounded
from .reservations import Pot
from .store import OpenRow, Settle, Step, Take

SCHEMA = """
CREATE TABLE IF NOT EXISTS pots (
    budget TEXT, period TEXT, spent INTEGER, open INTEGER, added INTEGER, alarmed INTEGER,
    logged_spent INTEGER, logged_added INTEGER, PRIMARY KEY (budget, period)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open (key TEXT PRIMARY KEY, owner INTEGER, after INTEGER, amounts TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logged_open (received INTEGER PRIMARY KEY, request_id TEXT, reserved TEXT);
CREATE TABLE IF NOT EXISTS place (
    id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER, size INTEGER, hash TEXT, built_as TEXT, counted INTEGER);
CREATE TABLE IF NOT EXISTS advances (
    owner INTEGER, budget TEXT, period TEXT, room INTEGER, open INTEGER, exchange INTEGER);
"""
DROP = "".join(f"DROP TABLE IF EXISTS {name}; " for name in ("pots", "open", "logged_open", "place", "advances"))
READ_POTS = """SELECT budget, period, spent, open, added, alarmed FROM pots
WHERE (budget, period) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"""
WRITE_POTS = """INSERT INTO pots
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, 0, 0 FROM json_each(?) WHERE true
ON CONFLICT DO UPDATE SET spent = excluded.spent, open = excluded.open, added = excluded.added, alarmed = excluded.alarmed"""
END_ROWS = "DELETE FROM open WHERE key IN (SELECT value FROM json_each(?)) RETURNING key"
ADD_ROWS = """INSERT OR REPLACE INTO open
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(?)"""
WRITE_LOGGED = """INSERT INTO pots VALUES (?, ?, 0, 0, 0, 0, ?, ?)
ON CONFLICT DO UPDATE SET logged_spent = excluded.logged_spent, logged_added = excluded.logged_added"""


def read_pots(db: sqlite3.Connection, pots: Iterable[Pot]) -> dict[Pot, list[int]]:
    """As `Batch.pots`. One that is not there yet has spent nothing."""
    found = {pot: [0, 0, 0, 0] for pot in pots}
    for budget, period, *state in db.execute(READ_POTS, (json.dumps(list(found)),)):
        found[Pot(budget, period)] = state
    return found


def write_pots(db: sqlite3.Connection, pots: Mapping[Pot, Sequence[int]]) -> None:
    if pots:
        db.execute(WRITE_POTS, (json.dumps([[*pot, *map(bounded, state)] for pot, state in pots.items()]),))


def add_rows(db: sqlite3.Connection, rows: Sequence[OpenRow]) -> None:
    texts = [[row.key, row.owner, row.after, json.dumps([[*pot, amount] for pot, amount in row.amounts.items()])] for row in rows]
    db.execute(ADD_ROWS, (json.dumps(texts),))


def end_rows(db: sqlite3.Connection, steps: Sequence[Step]) -> set[str]:
    """Which of those that *steps* settle were open."""
    new = {step.key for step in steps if isinstance(step, Take)}
    ended = [step.key for step in steps if isinstance(step, Settle) and step.key not in new]
    return {key for (key,) in db.execute(END_ROWS, (json.dumps(ended),))} if ended else set()


def claim_rows(db: sqlite3.Connection, rows: Iterable[OpenRow]) -> None:
    """They are open, and their owners have them."""
    for row in rows:
        if not db.execute("UPDATE open SET owner = ? WHERE key = ?", (row.owner, row.key)).rowcount:
            pots = read_pots(db, row.amounts)
            for pot, amount in row.amounts.items():
                pots[pot][1] += amount
            write_pots(db, pots)
            add_rows(db, [row])


def amounts_in(text: str) -> dict[Pot, int]:
    return {Pot(budget, period): amount for budget, period, amount in json.loads(text)}


class Advances(NamedTuple):
    """All of them."""

    others: Counter[Pot]
    """What other processes hold and have not handed out, as far as is known."""
    own: dict[Pot, Held]
    exchange: int
    """The last one of this process."""


def read_advances(db: sqlite3.Connection, own: int) -> Advances:
    others, mine, last = Counter[Pot](), dict[Pot, Held](), 0
    for owner, budget, period, room, opened, exchange in db.execute("SELECT * FROM advances"):
        if owner == own:
            mine[Pot(budget, period)], last = Held(room, opened), exchange
        else:
            others[Pot(budget, period)] += room
    return Advances(others, mine, last)


def end_advances(db: sqlite3.Connection, owner: int) -> int:
    """Of *owner* nothing is held any more, and only rows are open; its last exchange."""
    advances = read_advances(db, owner)
    pots = read_pots(db, advances.own)
    for pot, state in pots.items():
        state[1] -= advances.own[pot].open
    write_pots(db, pots)
    db.execute("DELETE FROM advances WHERE owner = ?", (owner,))
    return advances.exchange


def write_advances(db: sqlite3.Connection, owner: int, offer: Offer, granted: Sequence[Granted]) -> None:
    pairs = zip(offer.wanted, granted, strict=True)
    rows = [(owner, *one.pot, one.kept + more.more, one.open, offer.exchange) for one, more in pairs]
    db.execute("DELETE FROM advances WHERE owner = ?", (owner,))
    db.executemany("INSERT INTO advances VALUES (?, ?, ?, ?, ?, ?)", [row for row in rows if row[3] or row[4]])
