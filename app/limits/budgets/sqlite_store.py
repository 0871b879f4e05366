"""The store of the budgets in SQLite: a handful of statements for a whole batch of questions.

`synchronous=NORMAL` in WAL mode: a commit survives the end of every process, and needs no sync.
What a loss of power takes is read from the log again.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .batch import Batch, bounded, pots_of
from .books import Books, OpenQuestion, amounts_of
from .reservations import Pot
from .store import NO_OWNER, LogPlace, OpenRow, Outcome, PotState, Settle, Step, StoreFailed, StoreReplaced

LOG = logging.getLogger("app.limits")
TIMEOUT_SECONDS = 1.0
"""How long to wait for another process's transaction, which takes a millisecond."""
CHECKPOINT_PAGES = 4096
"""Of 4 KiB: a checkpoint syncs the disk, which the log needs for its records."""
VERSION = 1
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
SCHEMA = """
CREATE TABLE IF NOT EXISTS pots (
    budget TEXT, period TEXT, spent INTEGER, open INTEGER, added INTEGER, alarmed INTEGER,
    logged_spent INTEGER, logged_added INTEGER, PRIMARY KEY (budget, period)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open (key TEXT PRIMARY KEY, owner INTEGER, after INTEGER, amounts TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logged_open (received INTEGER PRIMARY KEY, request_id TEXT, reserved TEXT);
CREATE TABLE IF NOT EXISTS place (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER, size INTEGER, hash TEXT, built_as TEXT);
"""
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


class SqliteBudgetStore:
    """A BudgetStore."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._owner = NO_OWNER

    def attach(self, owner: int) -> bool:
        self.close()
        self._owner = owner
        try:
            return self._open()
        except StoreFailed as failed:
            if getattr(failed.__cause__, "sqlite_errorcode", 0) & 0xFF not in DAMAGED:
                raise
        self._set_aside()
        return self._open()

    def open_beside(self) -> bool:
        """For an operator, beside the service: nothing is made or repaired. Whether it is built."""
        if not self.path.exists():
            return False
        return self._open()

    def apply(self, steps: Sequence[Step]) -> list[Outcome]:
        ended = json.dumps([step.key for step in steps if isinstance(step, Settle)])
        with self._transaction() as db:
            found = {key for (key,) in db.execute(END_ROWS, (ended,))} if ended != "[]" else set()
            batch = Batch(_read(db, pots_of(steps)), found)
            outcomes = batch.apply(steps)
            if batch.taken:
                _add_rows(db, [OpenRow(key, self._owner, take.after, take.amounts) for key, take in batch.taken.items()])
            _write(db, batch.pots)
            return outcomes

    def adjust(self, pot: Pot, *, spent: int = 0, added: int = 0) -> PotState:
        with self._transaction() as db:
            pots = _read(db, [pot])
            was_spent, opened, was_added, _ = pots[pot]
            pots[pot] = [was_spent + spent, opened, was_added + added, 0]  # a later alarm is news again
            _write(db, pots)
            return PotState(*pots[pot][:3])

    def pots(self, wanted: Sequence[Pot] | None = None) -> dict[Pot, PotState]:
        with self._reading() as db:
            if wanted is not None:
                return {pot: PotState(*state[:3]) for pot, state in _read(db, wanted).items()}
            rows = db.execute("SELECT budget, period, spent, open, added FROM pots").fetchall()
        return {Pot(*row[:2]): PotState(*row[2:]) for row in rows}

    def open_rows(self) -> list[OpenRow]:
        with self._reading() as db:
            rows = db.execute("SELECT key, owner, after, amounts FROM open").fetchall()
        return [OpenRow(key, owner, after, _amounts_in(text)) for key, owner, after, text in rows]

    def claim(self, rows: Iterable[OpenRow]) -> None:
        with self._transaction() as db:
            for row in rows:
                if not db.execute("UPDATE open SET owner = ? WHERE key = ?", (row.owner, row.key)).rowcount:
                    pots = _read(db, row.amounts)
                    for pot, amount in row.amounts.items():
                        pots[pot][1] += amount
                    _write(db, pots)
                    _add_rows(db, [row])

    def books(self) -> tuple[Books, LogPlace | None]:
        with self._reading() as db:
            place = db.execute("SELECT seq, size, hash FROM place").fetchone()
            pots = db.execute("SELECT budget, period, logged_spent, logged_added FROM pots").fetchall()
            questions = db.execute("SELECT received, request_id, reserved FROM logged_open").fetchall()
        books = Books()
        if place is None:
            return books, None
        books.spent = Counter({Pot(*row[:2]): row[2] for row in pots if row[2]})
        books.added = Counter({Pot(*row[:2]): row[3] for row in pots if row[3]})
        for received, request_id, text in questions:
            reserved = json.loads(text)
            books.open[received] = OpenQuestion(request_id, amounts_of(reserved), reserved)
        return books, LogPlace(*place)

    def keep(self, books: Books, place: LogPlace) -> None:
        rows = [(*pot, bounded(books.spent[pot]), bounded(books.added[pot])) for pot in {*books.spent, *books.added}]
        questions = [(received, one.request_id, json.dumps(one.reserved)) for received, one in books.open.items()]
        with self._transaction() as db:
            db.execute("UPDATE pots SET logged_spent = 0, logged_added = 0")
            db.executemany(WRITE_LOGGED, rows)
            db.execute("DELETE FROM logged_open")
            db.executemany("INSERT INTO logged_open VALUES (?, ?, ?)", questions)
            write = "INSERT INTO place VALUES (1, ?, ?, ?, NULL) ON CONFLICT DO UPDATE SET seq = ?, size = ?, hash = ?"
            db.execute(write, (*place, *place))

    def rebuild(self, rows: Sequence[OpenRow]) -> None:
        reserved = Counter[Pot]()
        for row in rows:
            reserved.update(row.amounts)
        with self._transaction() as db:
            db.execute("UPDATE pots SET spent = logged_spent, added = logged_added, open = 0")
            db.execute("DELETE FROM open")
            pots = _read(db, reserved)
            _write(db, {pot: [spent, reserved[pot], added, alarmed] for pot, (spent, _, added, alarmed) in pots.items()})
            _add_rows(db, rows)
            db.execute("UPDATE place SET built_as = ?", (self._name,))

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    # --- the file --------------------------------------------------------------------------------

    def _open(self) -> bool:
        with _faults(self.path):
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self._identity = _identity_of(self.path)
            db = self._db = sqlite3.connect(self.path, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise StoreFailed(f"{self.path} comes from a newer version: install that one, or move the file away")
            db.executescript(f"BEGIN IMMEDIATE; {SCHEMA} PRAGMA user_version={VERSION}; COMMIT")
            return db.execute("SELECT 1 FROM place WHERE built_as = ?", (self._name,)).fetchone() is not None

    @property
    def _name(self) -> str:
        """Of this very file: a copy of it, such as one from a backup, was not built as that."""
        return ":".join(map(str, self._identity or ()))

    def _set_aside(self) -> None:
        self.close()
        kept_as = self.path.with_name(f"{self.path.name}.damaged.{time.time_ns()}")
        LOG.error("%s is damaged. It is kept as %s, and the budgets are computed from the log again.", self.path, kept_as.name)
        with _faults(self.path):
            self.path.rename(kept_as)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _faults(self.path):
            if self._db is None or _identity_of(self.path) != self._identity:
                raise StoreReplaced(f"{self.path} was removed or replaced")
            yield self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


def _read(db: sqlite3.Connection, pots: Iterable[Pot]) -> dict[Pot, list[int]]:
    """As `Batch.pots`. One that is not there yet has spent nothing."""
    found = {pot: [0, 0, 0, 0] for pot in pots}
    for budget, period, *state in db.execute(READ_POTS, (json.dumps(list(found)),)):
        found[Pot(budget, period)] = state
    return found


def _write(db: sqlite3.Connection, pots: Mapping[Pot, Sequence[int]]) -> None:
    if pots:
        db.execute(WRITE_POTS, (json.dumps([[*pot, *map(bounded, state)] for pot, state in pots.items()]),))


def _add_rows(db: sqlite3.Connection, rows: Sequence[OpenRow]) -> None:
    texts = [[row.key, row.owner, row.after, json.dumps([[*pot, amount] for pot, amount in row.amounts.items()])] for row in rows]
    db.execute(ADD_ROWS, (json.dumps(texts),))


def _amounts_in(text: str) -> dict[Pot, int]:
    return {Pot(budget, period): amount for budget, period, amount in json.loads(text)}


def _identity_of(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _faults(path: Path) -> Iterator[None]:
    """Raise StoreFailed for every failure of SQLite or of the file system."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StoreFailed(f"{path} cannot be used: {error}") from error
