"""Builds the index of the log, and follows it. Never on the road of a question."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...errors import AppError
from ..format.record import GENESIS_HASH, LogEnd, hash_of, prev_hash_of, split_lines
from ..storage.store import AuditStore
from .demand import Demand
from .facts import ENDS, Facts, facts_of, tags_of
from .schema import OF_THE_MACHINE, SUMS, code_of, index_path, inode_of, open_for_writing, remove

LOG = logging.getLogger("app.audit")
BATCH_BYTES = 512 << 10
"""A batch takes about ten times as much memory, and a larger one is no quicker."""
LOOK_SECONDS = 0.25
STILL_SECONDS = 2.0
"""Nobody looks: then the log must have rested for so long before it is read."""
GAP_MS = 90_000
"""The notary process records a sign of life each minute: a longer silence is told."""
LEAST_FREE_BYTES = 64 << 20
"""Of the disk. What is left then is for what must be written: without it no question is taken."""
MOST = 2**53
"""Sums stop there: a model's server may count what it likes, and SQLite's numbers end at 2**63."""
INSERT_SUMS = (
    f"INSERT INTO sums VALUES (?, ?, ?, {', '.join('?' * len(SUMS))}) ON CONFLICT DO UPDATE SET "  # noqa: S608 - names of ours
    + ", ".join(f"{name} = min({MOST}, {name} + excluded.{name})" for name in SUMS)
)
INSERT_REFUSALS = "INSERT INTO refusals VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count"


class IndexBuilder:
    """Blocks: needs a process or thread of its own. Two may run: each batch is one transaction."""

    def __init__(self, store: AuditStore, log: Path, demand: Demand) -> None:
        self._store, self._path, self._demand = store, index_path(log), demand
        self._connection: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._names: dict[str, int] = {}
        self._problem = ""
        self._seen, self._rested = -1, 0.0

    def run(self, stop: threading.Event) -> None:
        """Until *stop*. A problem of log or file is logged once; a later look tries again."""
        while not stop.is_set():
            try:
                more = self.step() if self._is_due() else False
                self._problem = ""
            except (AppError, OSError, sqlite3.Error, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
                more = False
                self._report(error)
            if not more:
                stop.wait(LOOK_SECONDS)
        self.close()

    def step(self) -> bool:
        """Take one batch of records. Returns whether more wait."""
        end = self._store.durable()
        if end is None:
            return False
        self._leave_room()
        if self._connection is not None and inode_of(self._path) != self._inode:
            self.rebuild()  # somebody has deleted it, or put another in its place
        if self._connection is None:
            self._connection = open_for_writing(self._path)
            self._inode, self._names = inode_of(self._path), {}
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            size, seq, digest, time = self._connection.execute("SELECT size, seq, hash, time FROM state").fetchone()
            taken = self._take(LogEnd(size, seq, digest), time, end)
        except BaseException:
            self._connection.execute("ROLLBACK")
            self._names = {}
            raise
        if taken is None:
            self._connection.execute("ROLLBACK")
            self.rebuild()
            return True
        self._connection.execute("COMMIT")
        return taken < end.size

    def _leave_room(self) -> None:
        """Raises OSError where the disk is nearly full: the rest is for what must be written."""
        disk = os.statvfs(self._path.parent)
        if disk.f_bavail * disk.f_frsize < LEAST_FREE_BYTES:
            self.close()
            raise OSError(f"less than {LEAST_FREE_BYTES >> 20} MiB of its disk are free, and they are left to the evidence")

    def rebuild(self) -> None:
        """Begin again, from the first record."""
        self.close()
        remove(self._path)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _is_due(self) -> bool:
        """At once while somebody looks; else in the pauses of the service."""
        if self._demand.is_wanted:
            return True
        end = self._store.durable()
        size = -1 if end is None else end.size
        self._rested = self._rested + LOOK_SECONDS if size == self._seen else 0.0
        self._seen = size
        return self._rested >= STILL_SECONDS

    def _take(self, known: LogEnd, time: int, end: LogEnd) -> int | None:
        """The length that is indexed then. None: the log is another one."""
        if known.size > end.size:
            return None
        if known.size == end.size:
            return known.size if known.hash == end.hash else None
        stop = min(end.size, known.size + BATCH_BYTES)
        lines = [line for line in split_lines(self._store.chunks(stop, known.size)) if line.endswith(b"\n")]
        if not lines or prev_hash_of(lines[0]) != (known.hash or GENESIS_HASH):
            return None
        facts = [facts_of(line) for line in lines]
        self._write(facts, time)
        size = known.size + sum(map(len, lines))
        state = (size, facts[-1].seq, hash_of(lines[-1]), facts[-1].time)
        self._execute("UPDATE state SET size = ?, seq = ?, hash = ?, time = ?", state)
        return size

    def _write(self, facts: Sequence[Facts], time: int) -> None:
        assert self._connection is not None
        many = self._connection.executemany
        self._follow_open(facts)
        rows = [(one.seq, one.time, self._id(one.action), self._id(one.user), self._id(one.model)) for one in facts]
        many("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
        many("INSERT INTO texts (rowid, tags, text) VALUES (?, ?, ?)", ((one.seq, tags_of(one), one.text) for one in facts))
        sums, refusals = dict[tuple[str, str, str], Counter[str]](), Counter[tuple[str, str, str]]()
        for one in facts:
            if one.sums:
                sums.setdefault((one.day, one.user, one.model), Counter()).update(one.sums)
            refusals.update({(one.day, one.user, code): count for code, count in one.refusals.items()})
        many(INSERT_SUMS, ((*key, *(min(MOST, counted[name]) for name in SUMS)) for key, counted in sums.items()))
        many(INSERT_REFUSALS, ((*key, count) for key, count in refusals.items()))
        gaps = []
        for one in facts:
            if time and one.time - time > GAP_MS:
                gaps.append((one.seq, one.time, (one.time - time) / 1000))
            time = one.time
        many("INSERT INTO gaps VALUES (?, ?, ?)", gaps)

    def _follow_open(self, facts: Sequence[Facts]) -> None:
        """Which questions have no end yet; and the model of an end that does not name it."""
        opened = {one.seq: one for one in facts if one.action == "ask.received"}
        for one in facts:
            if one.received is None:
                continue
            question = opened.get(one.received)
            if not one.model:
                one.model = question.model if question else self._model_of(one.received)
            if one.action in ENDS or one.action == "ask.refused":
                opened.pop(one.received, None)
                self._execute("DELETE FROM open WHERE seq = ?", (one.received,))
        for one in opened.values():
            self._execute("INSERT INTO open VALUES (?, ?, ?, ?)", (one.seq, one.time, one.user, one.model))

    def _model_of(self, seq: int) -> str:
        assert self._connection is not None
        query = "SELECT name FROM records JOIN names ON names.id = model WHERE seq = ?"
        found = self._connection.execute(query, (seq,)).fetchone()
        return str(found[0]) if found else ""

    def _id(self, name: str) -> int:
        assert self._connection is not None
        if name not in self._names:
            self._execute("INSERT OR IGNORE INTO names (name) VALUES (?)", (name,))
            self._names[name] = self._connection.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()[0]
        return self._names[name]

    def _execute(self, statement: str, values: Sequence[object]) -> None:
        assert self._connection is not None
        self._connection.execute(statement, values)

    def _report(self, error: Exception) -> None:
        if str(error) != self._problem:
            self._problem = str(error)
            LOG.warning("The index of the records cannot be built now: %s", error)
        if isinstance(error, sqlite3.Error) and code_of(error) not in OF_THE_MACHINE:
            self.rebuild()  # damaged: it is made of the log again
