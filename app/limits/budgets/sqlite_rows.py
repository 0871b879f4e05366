"""The tables of the budgets' store in SQLite, and what is read from and written to them."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from .advances import Granted, Wanted
from .batch import bounded
from .reservations import Pot
from .store import OpenRow

SCHEMA = """
CREATE TABLE IF NOT EXISTS pots (
    budget TEXT, period TEXT, spent INTEGER, open INTEGER, added INTEGER, alarmed INTEGER,
    logged_spent INTEGER, logged_added INTEGER, PRIMARY KEY (budget, period)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open (key TEXT PRIMARY KEY, owner INTEGER, after INTEGER, amounts TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logged_open (received INTEGER PRIMARY KEY, request_id TEXT, reserved TEXT);
CREATE TABLE IF NOT EXISTS place (
    id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER, size INTEGER, hash TEXT, built_as TEXT, counted INTEGER);
CREATE TABLE IF NOT EXISTS advances (owner INTEGER, budget TEXT, period TEXT, amount INTEGER, noted INTEGER);
"""
DROP = "".join(f"DROP TABLE IF EXISTS {name}; " for name in ("pots", "open", "logged_open", "place"))
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


class Held(NamedTuple):
    """What processes hold as advances."""

    others: Counter[Pot]
    own: Counter[Pot]
    noted: int


def read_held(db: sqlite3.Connection, own: int) -> Held:
    held = Held(Counter(), Counter(), 0)
    for owner, budget, period, amount, noted in db.execute("SELECT owner, budget, period, amount, noted FROM advances"):
        (held.own if owner == own else held.others)[Pot(budget, period)] += amount
        held = held._replace(noted=noted) if owner == own else held
    return held


def hold(db: sqlite3.Connection, owner: int, wanted: Sequence[Wanted], granted: Sequence[Granted], noted: int) -> None:
    rows = [(owner, *one.pot, one.kept + more.more, noted) for one, more in zip(wanted, granted, strict=True)]
    db.execute("DELETE FROM advances WHERE owner = ?", (owner,))
    db.executemany("INSERT INTO advances VALUES (?, ?, ?, ?, ?)", [row for row in rows if row[3]])
