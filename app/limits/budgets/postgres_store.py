"""The store of the budgets on PostgreSQL, for processes of several machines.

A batch of questions is one transaction, which locks its pots in one order. Each commit is flushed,
so that a crash of the server loses none. Who builds the store from the log gives it another name:
all others notice with their next step, and claim what they have open.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...kit.postgres import BoundedConnection
from .batch import Batch, bounded, pots_of
from .books import Books
from .kept_books import KeptBooks, books_of_rows, rows_of_books
from .postgres_session import BudgetSession
from .reservations import Pot
from .store import NO_OWNER, NOT_BUILT, Build, LogPlace, OpenRow, Outcome, PotState, Settle, Step, StoreReplaced

READ_POTS = """SELECT budget, period, spent, open, added, alarmed, (SELECT built_as FROM place) FROM pots
WHERE (budget, period) IN (SELECT * FROM unnest(%s::text[], %s::text[])) ORDER BY budget, period FOR UPDATE OF pots"""
MAKE_POTS = """INSERT INTO pots SELECT budget, period, 0, 0, 0, 0 FROM unnest(%s::text[], %s::text[]) AS new (budget, period)
ORDER BY 1, 2 ON CONFLICT DO NOTHING"""
WRITE_POTS = """UPDATE pots SET spent = new.spent, open = new.open, added = new.added, alarmed = new.alarmed
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
    AS new (budget, period, spent, open, added, alarmed)
WHERE pots.budget = new.budget AND pots.period = new.period"""
ADD_ROWS = """INSERT INTO open SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[])
ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, after = excluded.after, amounts = excluded.amounts"""
ADD_LOGGED = "INSERT INTO logged SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[])"
ADD_QUESTIONS = "INSERT INTO logged_open SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[])"
AS_LOGGED = """UPDATE pots SET open = 0,
    spent = coalesce((SELECT spent FROM logged WHERE (budget, period) = (pots.budget, pots.period)), 0),
    added = coalesce((SELECT added FROM logged WHERE (budget, period) = (pots.budget, pots.period)), 0)"""


class PostgresBudgetStore:
    """A BudgetStore."""

    def __init__(self, session: BudgetSession) -> None:
        self._session = session
        self._built: str | None = None
        """The name of what this process uses; None: whatever is there."""
        self._known: set[Pot] = set()

    def attach(self, owner: int) -> bool:
        """While `PostgresOwners.attaching` holds off others."""
        with self._session.use() as db:
            self._known.clear()
            (built,) = _row(db, "SELECT built_as FROM place")
            self._built = built
            return self._is_ours(built) and not self._session.was_taken_for_dead

    def open_beside(self) -> bool:
        """For an operator, beside the service: nothing is made or repaired. Whether it is built."""
        if not self._session.has_tables():
            return False
        with self._session.use() as db:
            return self._is_ours(_row(db, "SELECT built_as FROM place")[0])

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        ended = [step.key for step in steps if isinstance(step, Settle)]
        with self._session.use() as db:
            self._make(db, pots_of(steps))
            with db.transaction():
                batch = Batch(self._read(db, pots_of(steps)), _end_rows(db, ended))
                outcomes = batch.apply(steps)
                with db.pipeline():
                    _write(db, batch.pots)
                    rows = [OpenRow(key, self._session.own, take.after, take.amounts) for key, take in batch.taken.items()]
                    _add_rows(db, rows)
            return outcomes

    def adjust(self, pot: Pot, *, spent: int = 0, added: int = 0) -> PotState:
        with self._session.use() as db:
            self._make(db, [pot])
            with db.transaction():
                was_spent, opened, was_added, _ = self._read(db, [pot])[pot]
                state = [was_spent + spent, opened, was_added + added, 0]  # a later alarm is news again
                _write(db, {pot: state})
            return PotState(*state[:3])

    def pots(self, wanted: Sequence[Pot] | None = None) -> dict[Pot, PotState]:
        query, values = "SELECT budget, period, spent, open, added FROM pots", list[Any]()
        if wanted is not None:
            query += " WHERE (budget, period) IN (SELECT * FROM unnest(%s::text[], %s::text[]))"
            values = _columns(wanted, 2)
        with self._session.use() as db:
            rows = db.execute(query.encode(), values or None).fetchall()
        found = {Pot(*row[:2]): PotState(*row[2:]) for row in rows}
        return found if wanted is None else {pot: found.get(pot, PotState(0, 0, 0)) for pot in wanted}

    def open_rows(self) -> list[OpenRow]:
        with self._session.use() as db:
            rows = db.execute("SELECT key, owner, after, amounts FROM open").fetchall()
        return [OpenRow(key, owner, after, _amounts_in(text)) for key, owner, after, text in rows]

    def claim(self, rows: Iterable[OpenRow]) -> None:
        several = list(rows)
        reserved = _reserved(several)
        with self._session.use() as db:
            self._make(db, list(reserved))
            with db.transaction():
                pots = self._read(db, list(reserved))
                for row in several:
                    if not db.execute("UPDATE open SET owner = %s WHERE key = %s", [row.owner, row.key]).rowcount:
                        for pot, amount in row.amounts.items():
                            pots[pot][1] += amount
                        _add_rows(db, [row])
                _write(db, pots)

    def books(self) -> tuple[Books, LogPlace | None]:
        with self._session.use() as db, db.transaction():
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            place = _row(db, "SELECT seq, size, hash FROM place")
            pots = db.execute("SELECT budget, period, spent, added FROM logged").fetchall()
            questions = db.execute("SELECT received, request_id, reserved FROM logged_open").fetchall()
        if place[0] is None:
            return Books(), None
        return books_of_rows(KeptBooks(pots, questions)), LogPlace(*place)

    def keep(self, books: Books, place: LogPlace) -> None:
        kept = rows_of_books(books)
        with self._session.use() as db, db.transaction(), db.pipeline():
            db.execute("UPDATE place SET seq = %s, size = %s, hash = %s", place)
            db.execute("DELETE FROM logged")
            db.execute("DELETE FROM logged_open")
            db.execute(ADD_LOGGED, _columns(kept.pots, 4))
            db.execute(ADD_QUESTIONS, _columns(kept.questions, 3))

    def rebuild(self, rows: Sequence[OpenRow]) -> None:
        """A row of nobody gets an owner who is not there: it is settled unless one claims it."""
        nobody = 1 + secrets.randbelow(2**31 - 1)
        rows = [row._replace(owner=nobody) if row.owner == NO_OWNER else row for row in rows]
        reserved = _reserved(rows)
        name = f"{self._session.identity}:{secrets.token_hex(8)}"
        with self._session.use() as db:
            db.execute("INSERT INTO pots SELECT budget, period, 0, 0, 0, 0 FROM logged ORDER BY 1, 2 ON CONFLICT DO NOTHING")
            self._make(db, list(reserved))
            with db.transaction():
                db.execute("SELECT 1 FROM pots ORDER BY budget, period FOR UPDATE")
                db.execute("UPDATE place SET built_as = %s, counted = seq", [name])
                db.execute(AS_LOGGED)
                db.execute("DELETE FROM open")
                self._built = name
                pots = self._read(db, list(reserved))
                _write(db, {pot: [spent, reserved[pot], added, alarmed] for pot, (spent, _, added, alarmed) in pots.items()})
                _add_rows(db, rows)

    def build(self) -> Build:
        with self._session.use() as db:
            name, counted = _row(db, "SELECT built_as, counted FROM place")
        return NOT_BUILT if name is None else Build(name, counted)

    def close(self) -> None:
        self._session.close()

    # ---------------------------------------------------------------------------------------------

    def _is_ours(self, built: str | None) -> bool:
        """Whether it was built in this database, and on this timeline."""
        return built is not None and built.rpartition(":")[0] == self._session.identity

    def _make(self, db: BoundedConnection, pots: Sequence[Pot]) -> None:
        """Rows of pots that are new. By itself: a lock held meanwhile could end in a deadlock."""
        if new := [pot for pot in pots if pot not in self._known]:
            db.execute(MAKE_POTS, _columns(new, 2))
            self._known.update(new)

    def _read(self, db: BoundedConnection, pots: Sequence[Pot]) -> dict[Pot, list[int]]:
        """As `Batch.pots`, locked. Raises StoreReplaced where it was built again meanwhile."""
        found = {}
        for budget, period, *state, built in db.execute(READ_POTS, _columns(pots, 2)):
            if self._built is not None and built != self._built:
                raise StoreReplaced(f"{self._session} were computed from the log again by another process")
            found[Pot(budget, period)] = state
        return found


def _row(db: BoundedConnection, query: str) -> tuple[Any, ...]:
    found = db.execute(query.encode()).fetchone()
    assert found is not None, "the table has one row"
    return tuple(found)


def _end_rows(db: BoundedConnection, keys: list[str]) -> set[str]:
    if not keys:
        return set()
    return {key for (key,) in db.execute("DELETE FROM open WHERE key = ANY(%s) RETURNING key", [keys])}


def _write(db: BoundedConnection, pots: Mapping[Pot, Sequence[int]]) -> None:
    if pots:
        db.execute(WRITE_POTS, _columns([(*pot, *map(bounded, state)) for pot, state in pots.items()], 6))


def _add_rows(db: BoundedConnection, rows: Sequence[OpenRow]) -> None:
    if rows:
        texts = [json.dumps([[*pot, amount] for pot, amount in row.amounts.items()]) for row in rows]
        values = [(row.key, row.owner, row.after, text) for row, text in zip(rows, texts, strict=True)]
        db.execute(ADD_ROWS, _columns(values, 4))


def _columns(rows: Sequence[Sequence[Any]], count: int) -> list[list[Any]]:
    """As `unnest` takes them."""
    return [[row[place] for row in rows] for place in range(count)]


def _reserved(rows: Iterable[OpenRow]) -> Counter[Pot]:
    total = Counter[Pot]()
    for row in rows:
        total.update(row.amounts)
    return total


def _amounts_in(text: str) -> dict[Pot, int]:
    return {Pot(budget, period): amount for budget, period, amount in json.loads(text)}
