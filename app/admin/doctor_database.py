"""`doctor`: the client database is sound, and somebody can ask; so is the store of the budgets."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ..kit.command import command
from ..security.clients.rows import has_active_client
from ..security.clients.store import open_clients
from ..security.roles import ADD_CLIENT
from ..settings import Settings
from ..wiring.budgets import budgets_path
from .doctor_findings import Finding, note, ok, trouble

TIMEOUT_SECONDS = 5.0
"""How long to wait for a process that writes."""


def look(settings: Settings) -> Iterator[Finding]:
    """Raises ConfigError, Unavailable."""
    path = settings.database_path
    open_clients(path)  # its schema is this version's
    if problem := _problem(path):
        yield trouble(f"{path} {problem}: stop the service and restore it from a backup.")
    elif not has_active_client(path):
        yield note(f"{path} is sound, and nobody can ask: {command(ADD_CLIENT)}.")
    else:
        yield ok(f"{path} is sound.")


def look_at_budgets(settings: Settings) -> Iterator[Finding]:
    path = budgets_path(settings)
    if not path.exists():
        yield ok(f"{path} is not there: it is made from the log once a budget is in force.")
    elif problem := _problem(path):
        yield trouble(f"{path} {problem}: stop the service and remove it; it is made again from the log.")
    else:
        yield ok(f"{path} is sound; {command('budget audit')} compares it with the log.")


def _problem(path: Path) -> str | None:
    """What SQLite finds wrong. Nothing is changed."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=TIMEOUT_SECONDS)) as database:
            (verdict,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        return f"cannot be read ({error})"
    return None if verdict == "ok" else "is damaged"
