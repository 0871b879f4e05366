"""Keeps the long texts of which records hold only digests, in the ledger's database."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from hashlib import sha256

from ....errors import AuditUnavailable
from ....kit.postgres_faults import what_failed
from .place import LedgerPlace
from .pool import Pool
from .session import BYTEA, Lost, Refused, Row, Statement, Value

KEEP = Statement("keep", "SELECT audit.keep_text($1)", (BYTEA,))
READ = Statement("read", "SELECT content FROM audit.texts WHERE sha256 = $1", (BYTEA,))
ANY = Statement("any", "SELECT EXISTS (SELECT FROM audit.texts)")
SECONDS = 30.0


class PostgresTexts:
    """A TextStore. Threads may share it."""

    def __init__(self, place: LedgerPlace) -> None:
        self._pool = Pool(place)

    def exists(self) -> bool:
        return self._ask("The long texts", ANY) == [[b"\1"]]

    def keep(self, texts: Mapping[str, bytes]) -> None:
        """Waits for a commit also of one that is there: its writer may not have waited yet."""
        try:
            with self._pool.session() as session:
                for text in texts.values():
                    session.call(KEEP, text, seconds=SECONDS)
        except (Lost, Refused) as error:
            raise AuditUnavailable(f"A long text cannot be kept in the audit log's database: {what_failed(error)}.") from error

    def digest_of(self, name: str) -> bytes | None:
        found = self.read(name)
        return None if found is None else sha256(found).digest()

    def read(self, name: str) -> bytes | None:
        rows = self._ask(f"The long text {name}", READ, bytes.fromhex(name))
        return (rows[0][0] or b"") if rows else None

    def close(self) -> None:
        self._pool.close()

    def _ask(self, what: str, statement: Statement, *values: Value) -> list[Row]:
        """Raises OSError, which says that *what* cannot be read."""
        try:
            with self._pool.session() as session:
                return session.call(statement, *values, seconds=SECONDS)
        except (Lost, Refused) as error:
            raise OSError(errno.EIO, what_failed(error), f"{what} in AUDIT_URL") from error
