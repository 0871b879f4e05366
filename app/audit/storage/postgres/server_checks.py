"""Whether a PostgreSQL server can keep the ledger: one sentence for each reason why not."""

from __future__ import annotations

from collections.abc import Iterator

from ....kit.command import command
from ....kit.postgres_server import ServerFacts

LEAST_VERSION = 14
STANDBY = (
    "AUDIT_URL: synchronous_standby_names is empty, so a failover may lose acknowledged records. Name a synchronous standby "
    "there, or say AUDIT_SINGLE_PRIMARY=yes if this server has no standby that may take over"
)
WEAK_COMMITS = {
    "off": "does not wait for the disk",
    "local": "does not wait for the standby",
    "remote_write": "does not wait for the standby's disk",
}


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
            "AUDIT_URL: whoever stands between this machine and the server can read the records and pretend to be the server: "
            "add sslmode=verify-full and sslrootcert=FILE"
        )
