"""The signed checkpoint of a ledger in PostgreSQL, and the lock that elects who signs the next.

The lock and the writing share one session: a signer that lost the lock has lost the connection that
it would write on. A session that says nothing for IDLE_SECONDS is ended by the server, so a notary
process that is frozen, or whose machine is gone, is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ....errors import EvidenceUnavailable, LogUnreadable
from .place import LedgerPlace
from .session import BIGINT, BYTEA, TEXT, Lost, Refused, Session, Statement
from .writer import TRUE, refusal

IDLE_SECONDS = 10
LOCK_CLASS = 0x41554449
"""Of the advisory lock, beside the number of the ledger's schema."""
ENDED_IF_SILENT = Statement(
    "ended_if_silent",
    "SELECT set_config('idle_session_timeout', $1, false), set_config('tcp_keepalives_idle', '2', false), "
    "set_config('tcp_keepalives_interval', '2', false), set_config('tcp_keepalives_count', '3', false)",
    (TEXT,),
)
NOTE = Statement("note", "SELECT note FROM audit.signed_head")
DURABLE_NOTE = Statement("durable_note", "SELECT note, pg_logical_emit_message(true, 'audit', '') FROM audit.signed_head")
"""In one transaction: what it found is durable once that is."""
LEAD = Statement("lead", "SELECT pg_try_advisory_lock($1::int, 'audit'::regnamespace::oid::int)", (BIGINT,))
REPLACE = Statement("replace", "SELECT audit.replace_signed_head($1, $2)", (BYTEA, BYTEA))


class PostgresSignedHead:
    """A SharedHead. For one thread. Connects when it is first used, and again after a fault."""

    def __init__(self, place: LedgerPlace) -> None:
        self._place = place
        self._open: Session | None = None
        self.is_elected = False
        self._durable: bytes | None = None

    def latest(self) -> bytes | None:
        with self._session() as session:
            rows = session.call(NOTE)
            if rows and rows[0][0] != self._durable:  # visible is not yet durable
                rows = session.call(DURABLE_NOTE)
                self._durable = rows[0][0]
            return rows[0][0] if rows else None

    def lead(self) -> bool:
        with self._session() as session:
            if not self.is_elected:
                self.is_elected = session.call(LEAD, LOCK_CLASS) == [[TRUE]]
            return self.is_elected

    def replace(self, old: bytes | None, new: bytes) -> None:
        with self._session() as session:
            if not self.is_elected:  # the connection with the lock was lost
                raise EvidenceUnavailable(retry_after=1)
            if session.call(REPLACE, old, new) != [[TRUE]]:
                raise EvidenceUnavailable("Another node has signed the end of the log.", retry_after=1)
            self._durable = new

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open, self.is_elected = None, False

    @contextmanager
    def _session(self) -> Iterator[Session]:
        """Any fault ends the session, and with it the election."""
        try:
            if self._open is not None and not self._open.is_alive():  # ended while it was idle
                self.close()
            if self._open is None:
                self._open = Session(self._place)
                self._open.call(ENDED_IF_SILENT, f"{IDLE_SECONDS}s")
            yield self._open
        except (Lost, Refused) as error:
            self.close()
            said = refusal(error).detail.rstrip(".") if isinstance(error, Refused) else str(error)
            raise LogUnreadable(f"The database of the audit log cannot be asked: {said}.") from error
