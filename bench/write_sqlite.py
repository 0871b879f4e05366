"""SQLite in WAL mode with synchronous=FULL, so that a commit is synced: `python -m bench.write_sqlite batch|group FILE`.

`batch`: one transaction per batch of prepared rows, nothing else. `group`: callers on an event loop and one thread that
writes what is waiting, as in our log. Rows are as large as our lines; nothing is chained or hashed.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import sys
import threading
import time
from pathlib import Path

import orjson
import uvloop

from .burst import Burst, Written, obey
from .records import ASKED, RECORD_BYTES, answered

INSERT = "INSERT INTO records (line) VALUES (?)"
Waiting = tuple[bytes, asyncio.Future[None]]


def open_database(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS records (seq INTEGER PRIMARY KEY, line BLOB NOT NULL)")
    return database


def write(database: sqlite3.Connection, lines: list[bytes]) -> None:
    """Durable on return."""
    database.execute("BEGIN IMMEDIATE")
    database.executemany(INSERT, ((line,) for line in lines))
    database.execute("COMMIT")


def write_batches(database: sqlite3.Connection, burst: Burst) -> Written:
    lines, syncs = [b"x" * RECORD_BYTES] * burst.callers, 0
    burst.wait()
    while True:
        write(database, lines)
        if time.monotonic() >= burst.end:
            return Written(syncs * burst.callers, syncs)
        syncs += 1


class GroupCommit:
    """Waiting rows are written in one transaction; rows that arrive meanwhile in the next."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.syncs = 0
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._gathered: list[Waiting] = []
        self._batches: queue.SimpleQueue[list[Waiting] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_forever)
        self._thread.start()

    async def record(self, line: bytes) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        if not self._gathered:
            self._loop.call_soon(self._flush)
        self._gathered.append((line, done))
        await done

    def stop(self) -> None:
        self._batches.put(None)
        self._thread.join()

    def _flush(self) -> None:
        self._batches.put(self._gathered)
        self._gathered = []

    def _write_forever(self) -> None:
        while (batch := self._batches.get()) is not None:
            write(self._database, [line for line, _ in batch])
            self.syncs += 1
            self._loop.call_soon_threadsafe(self._acknowledge, batch)

    def _acknowledge(self, batch: list[Waiting]) -> None:
        for _, done in batch:
            done.set_result(None)


async def write_groups(database: sqlite3.Connection, burst: Burst) -> Written:
    acknowledged = 0
    commits = GroupCommit(database)
    padding = "x" * (RECORD_BYTES - (len(orjson.dumps(ASKED)) + len(orjson.dumps(answered(0)))) // 2)

    def is_over() -> bool:
        nonlocal acknowledged
        if time.monotonic() >= burst.end:
            return True
        acknowledged += 1
        return False

    async def caller() -> None:
        over, number = False, 0
        while not over:
            number += 1
            for details in (ASKED, answered(number)):
                await commits.record(orjson.dumps([details, padding]))
                over = over or is_over()

    burst.wait()
    await asyncio.gather(*(caller() for _ in range(burst.callers)))
    commits.stop()
    return Written(acknowledged, commits.syncs)


def main(shape: str, path: Path) -> None:
    database = open_database(path)
    if shape == "batch":
        obey(lambda burst: write_batches(database, burst))
    else:
        obey(lambda burst: uvloop.run(write_groups(database, burst)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
