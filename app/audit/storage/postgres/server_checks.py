"""Whether a PostgreSQL server can keep the ledger: one sentence for each reason why not."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg

from ....errors import ConfigError, EvidenceUnavailable
from ....kit.command import command
from ....kit.postgres import BoundedConnection
from ....kit.postgres_faults import what_failed
from ....kit.postgres_server import LEAST_VERSION, ServerFacts, read_facts
from .place import LedgerPlace
from .schema import OWNER, VERSION
from .session import conninfo
from .writer import PREPARE

SOUND_SECONDS = 10.0
"""Between two looks at a server that may keep the ledger."""
STANDBY = (
    "AUDIT_URL: synchronous_standby_names is empty, so a failover may lose acknowledged records. Name a synchronous standby "
    "there, or say AUDIT_SINGLE_PRIMARY=yes if this server has no standby that may take over"
)
WEAK_COMMITS = {
    "off": "does not wait for the disk",
    "local": "does not wait for the standby",
    "remote_write": "does not wait for the standby's disk",
}

RIGHTS = """
SELECT pg_has_role(%(owner)s, 'MEMBER') OR pg_has_role(n.nspowner, 'MEMBER') OR has_schema_privilege(n.oid, 'CREATE') OR EXISTS (
  SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p')
    AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
), has_schema_privilege(n.oid, 'USAGE')
FROM pg_namespace n WHERE n.nspname = 'audit'
"""


def verify_server(place: LedgerPlace) -> list[str]:
    """What the operator should change, though the service can run.

    Raises ConfigError, with one sentence a line, for a server that may not keep the ledger.
    """
    try:
        with closing(BoundedConnection.connect(conninfo(place), autocommit=True)) as connection:
            facts = read_facts(connection)
            found = list(problems(facts, is_single_primary=place.is_single_primary))
            if not found:
                found = list(ledger_problems(connection, facts.role))
    except (psycopg.Error, OSError) as error:
        raise ConfigError(f"AUDIT_URL: the server cannot be asked: {what_failed(error)}.") from None
    if found:
        raise ConfigError("\n".join(f"{problem}." for problem in found))
    return [f"{warning}." for warning in warnings(facts)]


class ServerWatch:
    """Looks at the server again and again: it may be another one, after a failover."""

    def __init__(self, place: LedgerPlace, steady: Callable[[], float] = time.monotonic) -> None:
        self._place, self._steady = place, steady
        self._problem: str | None = None
        self._look_at = steady()

    def verify(self) -> None:
        """Raises EvidenceUnavailable while the server may not keep the ledger. Blocks."""
        if self._steady() >= self._look_at:
            try:
                verify_server(self._place)
                self._problem = None
            except ConfigError as error:
                self._problem = error.detail
            self._look_at = self._steady() + (SOUND_SECONDS if self._problem is None else 1.0)
        if self._problem is not None:
            raise EvidenceUnavailable(self._problem)


def ledger_problems(connection: psycopg.Connection[Any], role: str) -> Iterator[str]:
    """What is wrong with the ledger's tables, and with the rights of *role*."""
    row = connection.execute(RIGHTS, {"owner": OWNER}).fetchone() if _has_owner(connection) else None
    if row is None:
        yield f"AUDIT_URL: the database has no ledger: {PREPARE} first"
        return
    can_rewrite, may_use = row
    if can_rewrite:
        yield (
            f"AUDIT_URL: the role {role} can rewrite the ledger: use a role that may only read and append, for which {PREPARE}"
        )
    elif not may_use:
        yield f"AUDIT_URL: the role {role} may not use the ledger: {PREPARE} --role {role}"
    else:
        (version,) = connection.execute("SELECT version FROM audit.ledger").fetchone() or (0,)
        if version > VERSION:
            yield f"AUDIT_URL: the ledger has schema {version}, and this version knows {VERSION}: install the newer version here"


def _has_owner(connection: psycopg.Connection[Any]) -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [OWNER]).fetchone() is not None


def problems(facts: ServerFacts, *, is_single_primary: bool) -> Iterator[str]:
    """What must be changed before the service may start. No full stop at the end."""
    if facts.is_pooled:
        yield (
            "AUDIT_URL leads to a connection pooler such as PgBouncer, which may hand each transaction another connection, and "
            "with it other locks and settings: name the PostgreSQL server itself"
        )
        return  # what else was read may be of any connection
    if facts.version < LEAST_VERSION:
        yield f"AUDIT_URL: the server is PostgreSQL {facts.version}, and the ledger needs {LEAST_VERSION} or newer: upgrade it"
    if facts.is_standby:
        yield "AUDIT_URL leads to a standby, which takes no records: name the primary, or add target_session_attrs=read-write"
        return  # its settings do not matter until it is promoted
    for name in ("fsync", "full_page_writes"):
        if facts.settings[name] == "off":
            yield f"AUDIT_URL: the server runs with {name}=off, so a crash may lose acknowledged records: set it to on"
    commit = facts.settings["synchronous_commit"]
    if commit in WEAK_COMMITS:
        yield (
            f"AUDIT_URL: synchronous_commit={commit} {WEAK_COMMITS[commit]}: set it to on or remote_apply for the server, "
            f"the database and the role {facts.role}"
        )
    if not facts.settings["synchronous_standby_names"].strip() and not is_single_primary:
        yield STANDBY
    if facts.is_superuser:
        yield (
            f"AUDIT_URL: the role {facts.role} is a superuser, who can rewrite the ledger: use the service's own role, which "
            f"{command('audit prepare')} makes"
        )


def warnings(facts: ServerFacts) -> Iterator[str]:
    """What the operator should change, though the service can run."""
    if not facts.is_protected:
        yield (
            "AUDIT_URL: others on the way to the server can read the records and pretend to be the server: "
            "add sslmode=verify-full and sslrootcert=FILE"
        )
