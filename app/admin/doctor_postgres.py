"""`doctor`: whether the PostgreSQL server of the clients can be used as it stands."""

from __future__ import annotations

from collections.abc import Iterator

from ..kit.command import command
from ..kit.postgres_server import LEAST_VERSION, ServerFacts, read_facts
from ..kit.postgres_url import PostgresUrl
from ..security.clients.rows import has_active_client
from ..security.roles import ADD_CLIENT
from ..settings import Settings
from ..wiring.catalogue import read_catalogue
from .doctor_findings import Finding, note, ok, trouble


def look(url: PostgresUrl) -> Iterator[Finding]:
    """After its schema was found to be this version's. Raises ConfigError, Unavailable."""
    from ..kit.postgres import connect  # late: only where it is configured

    with connect(url) as connection:
        facts = read_facts(connection)
    found = list(_problems(url, facts))
    if not facts.is_protected:
        found.append(note(f"{url}: others on its way can read and change clients. Add sslmode=verify-full and sslrootcert=FILE."))
    yield from found
    if not has_active_client(url):
        yield note(f"{url} can be used, and nobody can ask: {command(ADD_CLIENT)}.")
    elif not found:
        yield ok(f"{url} can be used: PostgreSQL {facts.version}.")


def look_at_nodes(settings: Settings) -> Iterator[Finding]:
    """Nothing where this machine has its clients to itself. Raises ConfigError."""
    if not isinstance(settings.database, PostgresUrl) and settings.ledger is None:
        return
    from ..wiring.nodes import verify_alike  # late: only where it is configured

    verify_alike(settings, read_catalogue(settings))
    yield ok("The machines that serve now have the same settings as this one.")


def _problems(url: PostgresUrl, facts: ServerFacts) -> Iterator[Finding]:
    if facts.version < LEAST_VERSION:
        yield trouble(f"{url} is PostgreSQL {facts.version}: {LEAST_VERSION} or newer is needed.")
    if facts.is_standby:
        yield trouble(f"{url} is a standby, which takes no changes: name the primary, or add target_session_attrs=read-write.")
    if facts.is_superuser:
        yield note(f"{url}: {facts.role} is a superuser. Use a role that owns this database and nothing else.")
