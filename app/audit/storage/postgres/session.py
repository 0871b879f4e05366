"""One connection to the ledger: prepared statements, binary rows, a deadline for each answer.

libpq has no deadline for an answer, so this speaks to it by psycopg.pq, which is also quicker than
a cursor. A commit whose answer has a warning counts as failed: a wait for a synchronous
standby that was cancelled ends as a success with WARNING 01000.
"""

from __future__ import annotations

import select
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import ExecStatus, Format, abc

from ....errors import ConfigError
from ....kit.postgres_faults import what_failed
from ....kit.postgres_url import PostgresUrl
from .place import SCHEMA, LedgerPlace

CONNECT_SECONDS = 3
CANCEL_SECONDS = 1.0
ANSWER_SECONDS = 3.0
"""Less than a caller waits for a record."""
BIGINT, TEXT, UUID, BOOL, BYTEA, BYTEAS = 20, 25, 2950, 16, 17, 1001
Value = int | str | bytes | bool | Sequence[bytes] | None
Row = list[bytes | None]


class Lost(Exception):
    """The connection was cut, or the answer did not come in time: nobody knows what was done."""


class Refused(Exception):
    """The server refused the statement, and did nothing. *state*: the SQLSTATE."""

    def __init__(self, state: str, message: str) -> None:
        super().__init__(message)
        self.state = state


@dataclass(frozen=True, slots=True)
class Statement:
    """*types*: of its parameters, by their OIDs."""

    name: str
    sql: str
    types: tuple[int, ...] = ()


PIN = Statement(
    "pin",
    "SELECT set_config('synchronous_commit', CASE s WHEN 'remote_apply' THEN s ELSE 'on' END, false) "
    "FROM current_setting('synchronous_commit') AS s",
)


class Session:
    """For one thread at a time. After `Lost` it is closed."""

    def __init__(self, place: LedgerPlace) -> None:
        """Connects. Raises Lost, Refused."""
        try:
            self._connection = psycopg.connect(conninfo(place), autocommit=True)
        except (psycopg.OperationalError, ConfigError) as error:
            raise Lost(what_failed(error)) from error
        self._wire: abc.PGconn = self._connection.pgconn
        self._schema = place.schema
        self._prepared: set[str] = set()
        self._warnings: list[str] = []
        self._connection.add_notice_handler(self._note)
        try:
            self.call(PIN)
        except Refused:
            self.close()
            raise

    def call(self, statement: Statement, *values: Value, seconds: float = ANSWER_SECONDS) -> list[Row]:
        """Run *statement* in a transaction of its own; its rows, in binary.

        Raises Lost, also for a warning, and Refused.
        """
        deadline = time.monotonic() + seconds
        try:
            if statement.name not in self._prepared:
                text = statement.sql.replace(f"{SCHEMA}.", f"{self._schema}.")
                self._wire.send_prepare(statement.name.encode(), text.encode(), statement.types)
                self._answer(deadline)
                self._prepared.add(statement.name)
            self._warnings.clear()
            encoded, formats = [_encode(one) for one in values], [_format(one) for one in values]
            self._wire.send_query_prepared(statement.name.encode(), encoded, formats, Format.BINARY)
            rows = self._answer(deadline)
        except (psycopg.OperationalError, OSError) as error:
            self.close()
            raise Lost(what_failed(error)) from error
        except Lost:
            self.close()
            raise
        if self._warnings:
            raise Lost(f"the server warned: {self._warnings[0]}")
        return rows

    @property
    def is_open(self) -> bool:
        return not self._connection.closed

    def is_alive(self) -> bool:
        """Whether the server has not closed it while it was idle."""
        if self._connection.closed:
            return False
        poll = select.poll()
        poll.register(self._wire.socket, select.POLLIN)
        return not poll.poll(0)  # an idle server says nothing but that it ends

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    def _answer(self, deadline: float) -> list[Row]:
        wire, rows, refusal = self._wire, list[Row](), None
        while wire.flush():
            self._wait(deadline, select.POLLIN | select.POLLOUT)
            wire.consume_input()
        while True:
            while wire.is_busy():
                self._wait(deadline, select.POLLIN)
                wire.consume_input()
            result = wire.get_result()
            if result is None:
                break
            if result.status == ExecStatus.TUPLES_OK:
                rows = [[result.get_value(row, column) for column in range(result.nfields)] for row in range(result.ntuples)]
            elif result.status != ExecStatus.COMMAND_OK:
                refusal = _refusal(result)
        if refusal is not None:
            raise refusal
        return rows

    def _wait(self, deadline: float, events: int) -> None:
        poll = select.poll()
        poll.register(self._wire.socket, events)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            with suppress(psycopg.Error):  # else its backend would wait on, for a lock or for the standby
                self._connection.cancel_safe(timeout=CANCEL_SECONDS)
            raise Lost("the server did not answer in time")

    def _note(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized not in ("NOTICE", "INFO", "DEBUG", "LOG"):
            self._warnings.append(diagnostic.message_primary or "without a word")


def conninfo(place: LedgerPlace, url: str | None = None) -> str:
    """What libpq connects with: to *url*, else as the service. Of several hosts, the primary.

    Raises ConfigError.
    """
    named = PostgresUrl(place.url, "AUDIT_URL", place.password_file) if url is None else PostgresUrl(url, "AUDIT_ADMIN_URL")
    given = named.parameters()
    defaults = {
        "connect_timeout": CONNECT_SECONDS,
        "target_session_attrs": "read-write",
        "application_name": f"secure-ai-assistant {place.node}".strip(),
        "tcp_user_timeout": round(ANSWER_SECONDS * 1000),
        "keepalives_idle": 5,
    }
    more: dict[str, object] = {name: value for name, value in defaults.items() if name not in given}
    return make_conninfo("", **given, **more)  # type: ignore[arg-type]  # numbers and texts


def _refusal(result: abc.PGresult) -> Exception:
    state = (result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) or b"").decode()
    message = (result.error_field(psycopg.pq.DiagnosticField.MESSAGE_PRIMARY) or result.error_message).decode("utf-8", "replace")
    refused = Refused(state, message.strip())
    if state[:2] in ("", "08", "57"):  # connection exceptions; an administrator's stop
        return Lost(what_failed(refused))
    return refused


def _encode(value: Value) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str | int):  # bool is an int: `True`
        return str(value).encode()
    parts = [struct.pack(">iiIii", 1, 0, BYTEA, len(value), 1)]
    for one in value:
        parts += (struct.pack(">i", len(one)), one)
    return b"".join(parts) if value else struct.pack(">iiI", 0, 0, BYTEA)


def _format(value: Value) -> int:
    return Format.TEXT if value is None or isinstance(value, str | int) else Format.BINARY
