"""`doctor`: whether the PostgreSQL server of the clients can be used as it stands."""

from __future__ import annotations

from collections.abc import Iterator

from ..kit.command import command
from ..kit.postgres_url import PostgresUrl
from ..security.clients.rows import has_active_client
from ..security.roles import ADD_CLIENT
from ..settings import Settings
from ..wiring.catalogue import read_catalogue
from .doctor_findings import Finding, note, ok, trouble

LEAST_VERSION = 14
FACTS = """
SELECT current_setting('server_version_num')::int / 10000, pg_is_in_recovery(),
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), current_user,
    current_setting('max_connections')::int
"""


def look(url: PostgresUrl) -> Iterator[Finding]:
    """After its schema was found to be this version's. Raises ConfigError, Unavailable."""
    from ..kit.postgres import connect  # late: only where it is configured

    with connect(url) as connection:
        row = connection.execute(FACTS).fetchone()
        is_private = connection.pgconn.ssl_in_use and connection.info.get_parameters().get("sslmode") == "verify-full"
    assert row is not None
    version, is_standby, is_superuser, role, _ = row
    found = list(_problems(url, version, is_standby=is_standby, is_superuser=is_superuser, role=role))
    if not (url.is_local or is_private):
        found.append(note(f"{url}: others on its way can read and change clients. Add sslmode=verify-full and sslrootcert=FILE."))
    yield from found
    if not has_active_client(url):
        yield note(f"{url} can be used, and nobody can ask: {command(ADD_CLIENT)}.")
    elif not found:
        yield ok(f"{url} can be used: PostgreSQL {version}.")


def look_at_nodes(settings: Settings) -> Iterator[Finding]:
    """Nothing where this machine has its clients to itself. Raises ConfigError."""
    url = settings.database
    if not isinstance(url, PostgresUrl):
        return
    from ..wiring.nodes import verify_alike  # late: only where it is configured

    verify_alike(url, settings, read_catalogue(settings))
    yield ok("The machines that serve now have the same settings as this one.")


def _problems(url: PostgresUrl, version: int, *, is_standby: bool, is_superuser: bool, role: str) -> Iterator[Finding]:
    if version < LEAST_VERSION:
        yield trouble(f"{url} is PostgreSQL {version}: {LEAST_VERSION} or newer is needed.")
    if is_standby:
        yield trouble(f"{url} is a standby, which takes no changes: name the primary, or add target_session_attrs=read-write.")
    if is_superuser:
        yield note(f"{url}: {role} is a superuser. Use a role that owns this database and nothing else.")
