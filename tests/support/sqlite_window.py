"""The moving window in SQLite, which the service counted in before: the shared one must equal it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

SCHEMA = """
CREATE TABLE hits (key TEXT, at REAL, n INTEGER, PRIMARY KEY (key, at, n)) WITHOUT ROWID;
CREATE TABLE levels (key TEXT PRIMARY KEY, at REAL, level REAL) WITHOUT ROWID;
"""
ENDS = """
SELECT * FROM (SELECT at, n FROM hits WHERE key = :key AND at > :start AND at <= :now ORDER BY at, n LIMIT 1) UNION ALL
SELECT * FROM (SELECT at, n FROM hits WHERE key = :key AND at > :start AND at <= :now ORDER BY at DESC, n DESC LIMIT 1)
"""
DELETE_OLDEST = """
DELETE FROM hits WHERE key = :key AND at <= (
    SELECT max(at) FROM (SELECT at FROM hits WHERE key = :key AND at <= :start ORDER BY at, n LIMIT 4)
)
"""
GIVE_BACK = "DELETE FROM hits WHERE (key, at, n) = (SELECT key, at, n FROM hits WHERE key = ? ORDER BY at DESC, n DESC LIMIT 1)"


class SqliteWindow:
    """Numbers the hits in a window without gaps: its oldest and newest tell how many there are."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.executescript(SCHEMA)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = self._clock()
        _, count, newest = self._window(key, expiry, now)
        if count + amount > limit:
            return False
        hits = [(key, now, newest + number) for number in range(1, amount + 1)]
        self._db.executemany("INSERT INTO hits (key, at, n) VALUES (?, ?, ?)", hits)
        self._db.execute(DELETE_OLDEST, {"key": key, "start": now - expiry})
        return True

    def give_back(self, key: str) -> None:
        self._db.execute(GIVE_BACK, (key,))

    def take(self, capacity: int, per_second: float) -> float:
        now = self._clock()
        at, level = self._db.execute("SELECT at, level FROM levels").fetchone() or (now, capacity)
        level = min(capacity, level + (now - at) * per_second)
        if level < 1:
            return float(1 - level) / per_second
        self._db.execute("INSERT OR REPLACE INTO levels (key, at, level) VALUES ('', ?, ?)", (now, level - 1))
        return 0.0

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        return self._window(key, expiry, self._clock())[:2]

    def forget_old(self) -> None:
        now = self._clock()
        self._db.execute("DELETE FROM hits WHERE at <= ? OR at > ?", (now - 60, now))

    def close(self) -> None:
        self._db.close()

    def _window(self, key: str, expiry: int, now: float) -> tuple[float, int, int]:
        ends = self._db.execute(ENDS, {"key": key, "start": now - expiry, "now": now}).fetchall()
        if not ends:
            return now, 0, 0
        (at, oldest), (_, newest) = min(ends), max(ends)
        return at, newest - oldest + 1, newest
