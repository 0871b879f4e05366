"""Appends batches to the ledger, each exactly once, and waits until they are durable.

1. `append` links a batch in the database, under its gate, and does not wait for the disk.
2. `barrier` waits, on the same connection, for a message that was written after the batch. Before
   that, its transaction reads that the batch's last record stands: after a crash of the server in
   between, the message would succeed although the batch is gone.

An outcome that is not known is settled by asking again with the same writer and number. What stands
then was perhaps not durable, so every road to an acknowledgement ends in a barrier of its own.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import TypeVar

from ....errors import AppError, AuditCorrupt, AuditUnavailable
from ....kit.command import command
from ....kit.postgres_faults import NO_RIGHT, what_failed
from ...format.record import Draft, Receipt, body_of
from ..meter import StorageMeter
from .place import LedgerPlace
from .schema import FENCED, IS_BEGUN, NO_LOG, STALE
from .session import ANSWER_SECONDS, BIGINT, BOOL, BYTEAS, TEXT, UUID, Lost, Refused, Row, Session, Statement

T = TypeVar("T")
NO_LEDGER = ("3F000", "42P01", "42883")
"""The SQLSTATEs of a database without the schema, its tables or its functions."""
PREPARE = f"an administrator runs {command('audit prepare')}"
GIVE_UP_SECONDS = 4.0
"""Less than a caller waits: then the log is closed, and a probe tries once a second."""
PAUSE_SECONDS = LEAST_SECONDS = 0.05
HASH, TRUE = 64, b"\1"
APPEND = Statement(
    "append", "SELECT * FROM audit.append($1, $2, $3, $4, $5, $6, $7)", (TEXT, BIGINT, UUID, BIGINT, BIGINT, BOOL, BYTEAS)
)
BARRIER = Statement("barrier", "SELECT audit.barrier($1, $2)", (BIGINT, TEXT))
ENTER = Statement("enter", "SELECT audit.enter($1, $2)", (TEXT, BIGINT))
STANDS = Statement("stands", "SELECT EXISTS (SELECT FROM audit.batches WHERE last_seq = $1 AND hash = $2)", (BIGINT, TEXT))
SOUND = Statement(
    "sound",
    "SELECT current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' "
    "AND ($1 OR current_setting('synchronous_standby_names') !~ '^\\s*$')",
    (BOOL,),
)
UNSOUND = (
    "The server in AUDIT_URL may lose what it acknowledges: it has no synchronous standby, or waits for no disk "
    "(synchronous_standby_names, fsync, full_page_writes). Set it up as the one before."
)
LAST = Statement("last", "SELECT last_seq, hash, size FROM audit.batches ORDER BY last_seq DESC LIMIT 1")


class Writer:
    """For one thread at a time. Connects at the first batch."""

    def __init__(
        self, place: LedgerPlace, connect: Callable[[LedgerPlace], Session] = Session, meter: StorageMeter | None = None
    ) -> None:
        self._place, self._connect, self._meter = place, connect, meter
        self._id, self._number = str(uuid.uuid4()), 0
        self._session: Session | None = None
        self._acknowledged: Receipt | None = None
        self._epoch, self._deadline = 0, 0.0

    def append(self, records: Sequence[Draft], *, after: int | None = None, begins: bool = False) -> list[Receipt]:
        """Their receipts, once they are durable. No receipts if *after* is not the last record.

        Raises AuditUnavailable: then nothing is acknowledged, and the batch may stand all the same.
        Raises AuditCorrupt where a log is to be begun and there is one, and where the ledger lacks
        what this writer acknowledged.
        """
        self._number += 1
        number, bodies = self._number, [body_of(record) for record in records]

        def work(session: Session) -> list[Receipt]:
            said = self._place.node, self._epoch, self._id, number, after, begins, bodies
            (row,) = session.call(APPEND, *said, seconds=self._left())
            receipts = _receipts(row)
            if receipts:
                began = time.monotonic()
                wait_until_durable(session, receipts[-1], self._left())
                if self._meter is not None:
                    self._meter.sync(time.monotonic() - began)
            return receipts

        receipts = self._until_settled(work)
        if receipts:
            self._acknowledged = receipts[-1]
        return receipts

    def settle(self) -> None:
        """Whatever stands at the end of the log is durable on return. Raises AuditUnavailable."""

        def work(session: Session) -> None:
            rows = session.call(LAST)
            if not rows:
                raise Refused(NO_LOG, "no log was begun")
            wait_until_durable(session, Receipt(number_in(rows[0][0]), text_in(rows[0][1])), self._left())

        self._until_settled(work)

    def forget(self) -> None:
        """The next `append` compares with nothing that was acknowledged: another log begins."""
        self._acknowledged = None

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
        self._session = None

    def _until_settled(self, work: Callable[[Session], T]) -> T:
        self._deadline = time.monotonic() + GIVE_UP_SECONDS
        while True:
            try:
                return work(self._entered())
            except Lost as error:
                self.close()
                if self._left() <= LEAST_SECONDS:
                    raise AuditUnavailable(f"The audit log's database does not answer: {error}.") from error
                time.sleep(PAUSE_SECONDS)
            except Refused as error:
                raise refusal(error) from error

    def _left(self) -> float:
        return max(LEAST_SECONDS, self._deadline - time.monotonic())

    def _entered(self) -> Session:
        """A connection. An older service of the same node is fenced from its beginning on."""
        if self._session is None or not self._session.is_open:
            self._session = self._connect(self._place)
            self._verify_same(self._session)
            if self._place.incarnation is not None:
                ((epoch,),) = self._session.call(ENTER, self._place.node, self._place.incarnation)
                self._epoch = number_in(epoch)
        return self._session

    def _verify_same(self, session: Session) -> None:
        """It may be another server: promoted and not set up yet, or a primary that was replaced."""
        seen, of_service = self._acknowledged, self._place.incarnation is not None
        if of_service and session.call(SOUND, self._place.is_single_primary) != [[TRUE]]:
            self.close()
            raise AuditUnavailable(UNSOUND)
        if seen is not None and session.call(STANDS, seen.seq, seen.hash) != [[TRUE]]:
            self.close()
            raise gone(seen.seq)


def wait_until_durable(session: Session, receipt: Receipt, seconds: float = ANSWER_SECONDS) -> None:
    """The record stands, and is durable on return. Raises Lost, also where it does not stand."""
    if session.call(BARRIER, receipt.seq, receipt.hash, seconds=seconds) != [[TRUE]]:
        session.close()
        raise Lost(f"record {receipt.seq} is gone: the server crashed, or another took over")


def gone(seq: int) -> AuditCorrupt:
    return AuditCorrupt(f"The ledger in AUDIT_URL had record {seq}, durable, and has it no more: is that the right server?")


def refusal(error: Refused) -> AppError:
    """What a caller is told."""
    if error.state == IS_BEGUN:
        return AuditCorrupt("The ledger in AUDIT_URL has a log already.")
    if error.state == FENCED:
        return AuditUnavailable(f"This service writes nothing any more, because {error}: stop it, or give it another NODE_NAME.")
    if error.state == STALE:
        return AuditUnavailable("A batch came too late, and was not written.")
    if error.state == NO_LOG:
        return AuditUnavailable(f"The ledger in AUDIT_URL has no log yet: run {command('init')}.")
    if error.state in NO_LEDGER:
        return AuditUnavailable(f"AUDIT_URL names a database without a ledger: run {command('audit prepare')}.")
    if error.state == NO_RIGHT:
        return AuditUnavailable(f"The role in AUDIT_URL lacks a right on the ledger: {PREPARE}.")
    return AuditUnavailable(f"The audit log's database refused a record: {what_failed(error)}.")


def number_in(value: bytes | None) -> int:
    """A bigint."""
    return int.from_bytes(value or b"", "big", signed=True)


def text_in(value: bytes | None) -> str:
    return (value or b"").decode()


def _receipts(row: Row) -> list[Receipt]:
    if row[0] is None:
        return []
    first, hashes = number_in(row[0]), text_in(row[2])
    return [Receipt(first + at, hashes[at * HASH : at * HASH + HASH]) for at in range(len(hashes) // HASH)]
