"""`doctor`: the client database can be read, is sound, and somebody can ask."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text

from ..kit.command import command
from ..security.clients.database import TIMEOUT_SECONDS, connected
from ..security.clients.rows import has_active_client
from ..security.clients.store import open_clients
from ..security.roles import ADD_CLIENT
from ..settings import Settings
from .doctor_findings import Finding, note, ok, trouble


def look(settings: Settings) -> Iterator[Finding]:
    """Raises ConfigError, Unavailable."""
    path = settings.database_path
    open_clients(path)  # its schema is this version's
    with connected(path, TIMEOUT_SECONDS) as connection:
        verdict = connection.execute(text("PRAGMA quick_check(1)")).scalar()
    if verdict != "ok":
        yield trouble(f"{path} is damaged: stop the service and restore it from a backup.")
    elif not has_active_client(path):
        yield note(f"{path} is sound, and nobody can ask: {command(ADD_CLIENT)}.")
    else:
        yield ok(f"{path} is sound.")
