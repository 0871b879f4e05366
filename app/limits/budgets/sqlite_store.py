"""The store of the budgets in SQLite: a handful of statements for a whole batch of questions.

`synchronous=NORMAL` in WAL mode: a commit survives the end of every process, and needs no sync.
What a loss of power takes is read from the log again.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .advances import Granted, Offer, kept_of
from .batch import Batch, pots_of
from .books import Books
from .kept_books import KeptBooks, books_of_rows, rows_of_books
from .reservations import Pot
from .sqlite_file import faults_of, identity_of
from .sqlite_rows import (
    DROP,
    SCHEMA,
    WRITE_LOGGED,
    add_rows,
    amounts_in,
    claim_rows,
    end_advances,
    end_rows,
    read_advances,
    read_pots,
    write_advances,
    write_pots,
)
from .store import (
    NO_OWNER,
    NOT_BUILT,
    Build,
    LogPlace,
    OpenRow,
    Outcome,
    PotState,
    Step,
    StoreFailed,
    StoreReplaced,
)

LOG = logging.getLogger("app.limits")
TIMEOUT_SECONDS = 5.0
"""How long to wait for another process's transaction, which takes a millisecond if it has a core.

Longer than a question waits: so that none is refused before its time.
"""
CHECKPOINT_PAGES = 16384
"""Of 4 KiB. A checkpoint syncs the disk, so `keep` makes one before a question must."""
VERSION = 3
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


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
        with self._transaction() as db:
            return self._exchange(db, steps, None)[0]

    def exchange(self, steps: Sequence[Step], offer: Offer) -> tuple[list[Outcome], list[Granted]]:
        with self._transaction() as db:
            return self._exchange(db, steps, offer)

    def holders(self) -> set[int]:
        with self._reading() as db:
            return {owner for (owner,) in db.execute("SELECT owner FROM advances")}

    def take_over(self, owner: int, handed_out: Callable[[int], Iterable[OpenRow]]) -> None:
        with self._transaction() as db:
            claim_rows(db, handed_out(end_advances(db, owner)))

    def adjust(self, pot: Pot, *, spent: int = 0, added: int = 0) -> PotState:
        with self._transaction() as db:
            pots = read_pots(db, [pot])
            was_spent, opened, was_added, _ = pots[pot]
            pots[pot] = [was_spent + spent, opened, was_added + added, 0]  # a later alarm is news again
            write_pots(db, pots)
            return PotState(*pots[pot][:3])

    def pots(self, wanted: Sequence[Pot] | None = None) -> dict[Pot, PotState]:
        with self._reading() as db:
            if wanted is not None:
                return {pot: PotState(*state[:3]) for pot, state in read_pots(db, wanted).items()}
            rows = db.execute("SELECT budget, period, spent, open, added FROM pots").fetchall()
        return {Pot(*row[:2]): PotState(*row[2:]) for row in rows}

    def open_rows(self) -> list[OpenRow]:
        with self._reading() as db:
            rows = db.execute("SELECT key, owner, after, amounts FROM open").fetchall()
        return [OpenRow(key, owner, after, amounts_in(text)) for key, owner, after, text in rows]

    def claim(self, rows: Iterable[OpenRow]) -> None:
        with self._transaction() as db:
            end_advances(db, self._owner)
            claim_rows(db, rows)

    def books(self) -> tuple[Books, LogPlace | None]:
        with self._reading() as db:
            place = db.execute("SELECT seq, size, hash FROM place").fetchone()
            pots = db.execute("SELECT budget, period, logged_spent, logged_added FROM pots").fetchall()
            questions = db.execute("SELECT received, request_id, reserved FROM logged_open").fetchall()
        if place is None:
            return Books(), None
        return books_of_rows(KeptBooks(pots, questions)), LogPlace(*place)

    def keep(self, books: Books, place: LogPlace) -> None:
        kept = rows_of_books(books)
        with self._transaction() as db:
            db.execute("UPDATE pots SET logged_spent = 0, logged_added = 0")
            db.executemany(WRITE_LOGGED, kept.pots)
            db.execute("DELETE FROM logged_open")
            db.executemany("INSERT INTO logged_open VALUES (?, ?, ?)", kept.questions)
            write = "INSERT INTO place VALUES (1, ?, ?, ?, NULL, -1) ON CONFLICT DO UPDATE SET seq = ?, size = ?, hash = ?"
            db.execute(write, (*place, *place))
        with self._reading() as db:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def rebuild(self, rows: Sequence[OpenRow]) -> None:
        reserved = Counter[Pot]()
        for row in rows:
            reserved.update(row.amounts)
        with self._transaction() as db:
            db.execute("UPDATE pots SET spent = logged_spent, added = logged_added, open = 0")
            db.execute("DELETE FROM open")
            db.execute("DELETE FROM advances")
            pots = read_pots(db, reserved)
            write_pots(db, {pot: [spent, reserved[pot], added, alarmed] for pot, (spent, _, added, alarmed) in pots.items()})
            add_rows(db, rows)
            db.execute("UPDATE place SET built_as = ?, counted = seq", (self._name,))

    def build(self) -> Build:
        with self._reading() as db:
            return Build(*(db.execute("SELECT built_as, counted FROM place WHERE built_as NOT NULL").fetchone() or NOT_BUILT))

    def close(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def _exchange(
        self, db: sqlite3.Connection, steps: Sequence[Step], offer: Offer | None
    ) -> tuple[list[Outcome], list[Granted]]:
        """Without an *offer*, what this process holds stays."""
        advances = read_advances(db, self._owner)
        told = advances.own if offer else {}
        wanted = offer.wanted if offer else ()
        own = kept_of(wanted) if offer else Counter({pot: held.room for pot, held in advances.own.items()})
        pots = {*pots_of(steps), *told, *(one.pot for one in wanted)}
        batch = Batch(read_pots(db, pots), end_rows(db, steps), advances.others + own)
        batch.tell(wanted, told)
        outcomes = batch.apply(steps)
        if batch.taken:
            add_rows(db, [OpenRow(key, self._owner, take.after, take.amounts) for key, take in batch.taken.items()])
        write_pots(db, batch.pots)
        granted = [batch.grant(one) for one in wanted]
        if offer and (told or wanted):
            write_advances(db, self._owner, offer, granted)
        return outcomes, granted

    # --- the file --------------------------------------------------------------------------------

    def _open(self) -> bool:
        with faults_of(self.path):
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
            self._identity = identity_of(self.path)
            db = self._db = sqlite3.connect(self.path, timeout=TIMEOUT_SECONDS, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise StoreFailed(f"{self.path} comes from a newer version: install that one, or move the file away")
            drop = "" if version == VERSION else DROP  # what an older version made is computed from the log
            db.executescript(f"BEGIN IMMEDIATE; {drop} {SCHEMA} PRAGMA user_version={VERSION}; COMMIT")
            return db.execute("SELECT 1 FROM place WHERE built_as = ?", (self._name,)).fetchone() is not None

    @property
    def _name(self) -> str:
        """Of this very file: a copy of it, such as one from a backup, was not built as that."""
        return ":".join(map(str, self._identity or ()))

    def _set_aside(self) -> None:
        self.close()
        kept_as = self.path.with_name(f"{self.path.name}.damaged.{time.time_ns()}")
        LOG.error("%s is damaged. It is kept as %s, and the budgets are computed from the log again.", self.path, kept_as.name)
        with faults_of(self.path):
            self.path.rename(kept_as)
            for suffix in ("-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with faults_of(self.path):
            if self._db is None or identity_of(self.path) != self._identity:
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
