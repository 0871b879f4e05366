"""One process's session with the budgets' store on PostgreSQL, and which other processes live.

Each process holds an advisory lock of its own number in the session that its changes go through. A
lost session frees the lock, and its process may live on: it is dead only once the lock has been
free for GRACE_SECONDS, and then learns that it was taken for dead.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from ...errors import ConfigError
from ...kit.postgres import BoundedConnection, connect
from ...kit.postgres_url import PostgresUrl
from .store import NO_OWNER, StoreFailed, StoreReplaced

SCHEMA = "assistant_budgets"
LOCKS = 0x5AA_B0D
"""The first number of our advisory locks. The second is an owner's, or 0 of who attaches."""
GRACE_SECONDS = 30.0
"""Longer than a live process takes to come back, and than a question lives without its record."""
LOOK_SECONDS = 10.0
VERSION = 1
TABLES = """
CREATE SCHEMA IF NOT EXISTS assistant_budgets;
CREATE TABLE IF NOT EXISTS pots (budget text, period text, spent bigint NOT NULL, open bigint NOT NULL, added bigint NOT NULL,
    alarmed bigint NOT NULL, PRIMARY KEY (budget, period));
CREATE TABLE IF NOT EXISTS open (key text PRIMARY KEY, owner bigint NOT NULL, after bigint NOT NULL, amounts text NOT NULL);
CREATE TABLE IF NOT EXISTS logged (budget text, period text, spent bigint NOT NULL, added bigint NOT NULL,
    PRIMARY KEY (budget, period));
CREATE TABLE IF NOT EXISTS logged_open (received bigint PRIMARY KEY, request_id text NOT NULL, reserved text NOT NULL);
CREATE TABLE IF NOT EXISTS place (id int PRIMARY KEY CHECK (id = 1), version int NOT NULL, seq bigint, size bigint, hash text,
    built_as text, counted bigint);
CREATE TABLE IF NOT EXISTS owners (owner bigint PRIMARY KEY, node text NOT NULL, since timestamptz NOT NULL DEFAULT now());
INSERT INTO place (id, version) VALUES (1, 1) ON CONFLICT DO NOTHING
"""
SESSION: dict[str, Any] = {"search_path": SCHEMA, "synchronous_commit": "on", "idle_in_transaction_session_timeout": "3s"}
"""A process that is stopped in the middle of a step holds its pots no longer than that."""
LEAVE = "DELETE FROM owners WHERE owner = %s AND NOT EXISTS (SELECT 1 FROM open WHERE open.owner = owners.owner)"
IDENTITY = """SELECT concat_ws(':', (SELECT oid FROM pg_database WHERE datname = current_database()),
    left(pg_walfile_name(pg_current_wal_lsn()), 8))"""
"""The database, and the timeline of its server: a standby that takes over begins another one."""


class BudgetSession:
    """Not for several threads. Every method raises StoreFailed."""

    def __init__(self, url: PostgresUrl, node: str = "") -> None:
        self._url, self._node = url, node
        self._connection: BoundedConnection | None = None
        self.own = NO_OWNER
        """The number of this process, once it has one."""
        self.was_taken_for_dead = False
        """Whether others have settled what this process had reserved."""
        self.identity = ""

    def __str__(self) -> str:
        return f"the budgets in {self._url}"

    @contextmanager
    def use(self) -> Iterator[BoundedConnection]:
        """Raises StoreReplaced where the session was lost: attach again."""
        with self._faults():
            if self._connection is None or self._connection.closed:
                raise StoreReplaced(f"the connection to {self} was lost")
            yield self._connection

    def open(self) -> BoundedConnection:
        """The session, opened again where it was lost."""
        with self._faults():
            if self._connection is None or self._connection.closed:
                self._connection = connect(self._url, **SESSION)
                self.identity = str(_one(self._connection, IDENTITY))
            return self._connection

    def has_tables(self) -> bool:
        """Raises StoreFailed too where a newer version made them."""
        with self._faults():
            connection = self.open()
            if _one(connection, "SELECT to_regclass(%s)", f"{SCHEMA}.place") is None:
                return False
            if int(str(_one(connection, "SELECT version FROM place"))) > VERSION:
                raise StoreFailed(f"{self} comes from a newer version: install that one")
            return True

    def close(self) -> None:
        """A process that has nothing open is forgotten, not missed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                if self.own != NO_OWNER:
                    connection.execute(LEAVE, [self.own])
                connection.close()
            connection.pgconn.finish()

    # --- as one process of several ---------------------------------------------------------------

    @contextmanager
    def holding_off(self) -> Iterator[BoundedConnection]:
        """No process attaches the store meanwhile. A session that was lost is noticed here."""
        with self._faults():
            with suppress(psycopg.Error):
                self.open().execute("SELECT 1")
            connection = self.open()
            connection.execute("SELECT pg_advisory_lock(%s, 0)", [LOCKS])
        try:
            yield connection
        finally:
            with suppress(psycopg.Error):  # a lost session has lost its locks
                connection.execute("SELECT pg_advisory_unlock(%s, 0)", [LOCKS])

    def join(self) -> bool:
        """Be one of the owners; whether it is the only one. Call it while holding off others."""
        with self._faults():
            connection = self.open()
            if not self.has_tables():
                connection.execute(TABLES)
            known = self.own
            if known == NO_OWNER:
                self.own = 1 + secrets.randbelow(2**31 - 1)
            elif not self._try_lock(self.own):  # by our lost session, which the server may not have missed yet
                ends = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                connection.execute(f"{ends} AND classid = %s AND objid = %s AND pid <> pg_backend_pid()", [LOCKS, self.own])
                connection.execute("SELECT pg_advisory_lock(%s, %s)", [LOCKS, self.own])
            if known == NO_OWNER and not self._try_lock(self.own):
                raise StoreFailed("two processes have the same number: this one takes another")
            added = connection.execute(
                "INSERT INTO owners (owner, node) VALUES (%s, %s) ON CONFLICT DO NOTHING", [self.own, self._node]
            )
            self.was_taken_for_dead = known != NO_OWNER and added.rowcount == 1
            return _one(connection, "SELECT count(*) FROM owners") == 1

    def is_free(self, owner: int) -> bool:
        """Whether no session has this number now."""
        with self._faults():
            if not self._try_lock(owner):
                return False
            self._unlock(owner)
            return True

    def forget(self, owner: int) -> bool:
        """Take it for dead, unless it came back; whether it is."""
        with self._faults():
            if not self._try_lock(owner):
                return False
            self.open().execute("DELETE FROM owners WHERE owner = %s", [owner])
            self._unlock(owner)
            return True

    def _try_lock(self, owner: int) -> bool:
        return bool(_one(self.open(), "SELECT pg_try_advisory_lock(%s, %s)", LOCKS, owner))

    def _unlock(self, owner: int) -> None:
        self.open().execute("SELECT pg_advisory_unlock(%s, %s)", [LOCKS, owner])

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, ConfigError) as error:
            why = error.detail if isinstance(error, ConfigError) else self._url.what_failed(error)
            is_lost = self._connection is None or self._connection.closed
            raise (StoreReplaced if is_lost else StoreFailed)(f"{self} cannot be used: {why}") from error


class PostgresOwners:
    """As `owners.Owners`, over all machines."""

    def __init__(self, session: BudgetSession) -> None:
        self._session = session
        self._free_since: dict[int, float] = {}
        self._next_look = 0.0

    @property
    def own(self) -> int:
        return self._session.own

    @contextmanager
    def attaching(self, timeout_seconds: float) -> Iterator[bool]:
        """Whether no other process has the store in use. The server bounds the wait."""
        with self._session.holding_off():
            yield self._session.join()

    @contextmanager
    def holding_off(self, timeout_seconds: float) -> Iterator[None]:
        with self._session.holding_off():
            yield

    def is_dead(self, owner: int) -> bool:
        """Whether its process is gone, as far as can be known. Then it is forgotten."""
        return self._is_missed(owner) and self._session.forget(owner)

    def has_dead(self) -> bool:
        """Now and then: whether somebody must see to what dead processes reserved."""
        now = time.monotonic()
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_SECONDS * random.uniform(1, 2)  # noqa: S311 - so that not all nodes look at once
        with self._session.use() as connection:
            rows = connection.execute("SELECT owner FROM open UNION SELECT owner FROM owners").fetchall()
        owners = {owner for (owner,) in rows} - {self.own}
        self._free_since = {owner: since for owner, since in self._free_since.items() if owner in owners}
        missed = [owner for owner in owners if self._is_missed(owner)]  # all are looked at
        return bool(missed)

    def close(self) -> None:
        """The store closes the session, on its thread."""

    def _is_missed(self, owner: int) -> bool:
        if owner in (NO_OWNER, self.own) or not self._session.is_free(owner):
            self._free_since.pop(owner, None)
            return False
        since = self._free_since.setdefault(owner, time.monotonic())
        return time.monotonic() - since >= GRACE_SECONDS


def _one(connection: BoundedConnection, query: str, *values: object) -> object:
    row = connection.execute(query.encode(), values or None).fetchone()
    return None if row is None else row[0]
