"""The signed checkpoint of a ledger in PostgreSQL, and the lock that elects who signs the next.

The lock and the writing share one session: a signer that lost the lock has lost the connection that
it would write on. A session that says nothing for IDLE_SECONDS is ended by the server, so a notary
process that is frozen, or whose machine is gone, is replaced.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from ....errors import EvidenceUnavailable

IDLE_SECONDS = 10
CONNECT_SECONDS = 5
ANSWER_SECONDS = 5.0
"""Also for a commit that waits for the standby."""
LOCK_CLASS = 0x41554449
"""Of the advisory lock, beside the number of the ledger's schema."""
SESSION = (
    "SET synchronous_commit = on; "
    f"SET idle_session_timeout = '{IDLE_SECONDS}s'; SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'; "
    "SET tcp_keepalives_idle = 2; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3"
)
NOTE = "SELECT note FROM audit.signed_head"


class PostgresSignedHead:
    """A SharedHead. For one thread. Connects when it is first used, and again after a fault."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.Connection[Any] | None = None
        self.is_elected = False
        self._durable: bytes | None = None

    def latest(self) -> bytes | None:
        with self._session() as session:
            row = session.execute(NOTE).fetchone()
            if row is None:
                return None
            if row[0] != self._durable:  # visible is not yet durable
                with self._transaction(session):
                    (note,) = session.execute(NOTE).fetchone()
                    session.execute("SELECT pg_logical_emit_message(true, 'audit', 'head')")
                self._durable = note
            return self._durable

    def lead(self) -> bool:
        with self._session() as session:
            if not self.is_elected:
                elect = "SELECT pg_try_advisory_lock(%s, 'audit'::regnamespace::oid::int)"
                (self.is_elected,) = session.execute(elect, [LOCK_CLASS]).fetchone()
            return self.is_elected

    def replace(self, old: bytes | None, new: bytes) -> None:
        with self._session() as session:
            if not self.is_elected:  # the connection with the lock was lost
                raise EvidenceUnavailable(retry_after=1)
            with self._transaction(session):
                (is_replaced,) = session.execute("SELECT audit.replace_signed_head(%s, %s)", [old, new]).fetchone()
            if not is_replaced:
                raise EvidenceUnavailable("Another node has signed the end of the log.", retry_after=1)
            self._durable = new

    def close(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
        self._connection, self.is_elected = None, False

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """The connection. Any fault ends it, and with it the election."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            with _bounded(self._connection):
                yield self._connection
        except psycopg.Error as error:
            self.close()
            raise EvidenceUnavailable(f"The database of the audit log cannot be asked: {_reason(error)}.") from error

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._url, autocommit=True, connect_timeout=CONNECT_SECONDS)
        try:
            connection.execute(SESSION)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _transaction(self, session: psycopg.Connection[Any]) -> Iterator[None]:
        """Durable after the block, on the standby too: a commit with any warning is none."""
        warnings: list[str] = []

        def note(diagnostic: psycopg.errors.Diagnostic) -> None:
            warnings.append(diagnostic.message_primary or "a warning")

        session.add_notice_handler(note)
        try:
            with session.transaction():
                yield
        finally:
            session.remove_notice_handler(note)
        if warnings:
            raise psycopg.OperationalError(warnings[0])


@contextmanager
def _bounded(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Cut *connection* where the server does not answer in time: libpq has no timeout."""

    def cut() -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=socket.dup(connection.fileno())) as copy:
            copy.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(ANSWER_SECONDS, cut)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _reason(error: psycopg.Error) -> str:
    """The first line; it names host and role, and never a password."""
    return str(error).strip().split("\n")[0].rstrip(".")
