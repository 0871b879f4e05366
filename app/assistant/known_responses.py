"""The responses that were recorded here, and their owners: `previous_response_id` may name them.

Kept in SQLite beside the log, as digests alone: shared by all workers, over restarts. It proves
nothing. What is missing there, a caller can send again: so nothing waits for it long.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from ..audit.format.record import Receipt
from ..errors import Unavailable

LOG = logging.getLogger("app.assistant")
T = TypeVar("T")
Owner = tuple[str, str, str | None]
"""The model's server, the principal, and the user that a front end named."""
MAX_RESPONSES = 100_000
"""The oldest are forgotten. So many take about 15 MB."""
TIMEOUT_SECONDS = 2.0
SCHEMA = "CREATE TABLE IF NOT EXISTS responses (n INTEGER PRIMARY KEY, owned BLOB UNIQUE, seq INTEGER, hash TEXT)"
ADD = "INSERT OR REPLACE INTO responses (owned, seq, hash) VALUES (?, ?, ?)"
FORGET = "DELETE FROM responses WHERE n <= last_insert_rowid() - ?"
FIND = "SELECT seq, hash FROM responses WHERE owned = ?"


class Responses(Protocol):
    """What is known of them, in a file or on a server."""

    async def find(self, owner: Owner, response_id: str) -> Receipt | None:
        """The record of that response, if it was this owner's. Raises Unavailable."""

    async def remember(self, owner: Owner, response_id: str, receipt: Receipt) -> None:
        """Never raises: a response that is not remembered cannot be continued, and that is all."""

    def close(self) -> None: ...


class KnownResponses:
    """Opened at first use, which is only where the operator allows `previous_response_id`."""

    def __init__(self, path: Path, max_responses: int = MAX_RESPONSES) -> None:
        self._path, self._max = path, max_responses
        self._thread = ThreadPoolExecutor(1, "responses")  # a hung disk holds up nothing else
        self._connection: sqlite3.Connection | None = None

    async def find(self, owner: Owner, response_id: str) -> Receipt | None:
        """The record of that response, if it was this owner's. Raises Unavailable."""
        try:
            row = await self._run(lambda db: db.execute(FIND, (digest_of(owner, response_id),)).fetchone())
        except (sqlite3.Error, OSError, TimeoutError) as error:
            LOG.error("%s cannot be read: %s", self._path, error)
            raise Unavailable("Earlier responses cannot be looked up now. Try again later.", retry_after=1) from error
        return None if row is None else Receipt(*row)

    async def remember(self, owner: Owner, response_id: str, receipt: Receipt) -> None:
        """Never raises: a response that is not remembered cannot be continued, and that is all."""

        def add(db: sqlite3.Connection) -> None:
            with db:
                db.execute(ADD, (digest_of(owner, response_id), *receipt))
                db.execute(FORGET, (self._max,))

        try:
            await self._run(add)
        except (sqlite3.Error, OSError, TimeoutError) as error:
            LOG.error("%s cannot be written, so a response cannot be continued: %s", self._path, error)

    def close(self) -> None:
        """Does not wait for a disk that hangs."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._thread.submit(connection.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._opened()))

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(self._path, timeout=TIMEOUT_SECONDS / 2)
            try:
                connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {SCHEMA}")
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def digest_of(owner: Owner, response_id: str) -> bytes:
    return hashlib.sha256(json.dumps([*owner, response_id]).encode()).digest()
