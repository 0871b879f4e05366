"""`doctor`: the client database is sound, and somebody can ask; so is the store of the budgets."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ..kit.command import command
from ..kit.postgres_url import PostgresUrl
from ..security.clients.migrations import verify_schema
from ..security.clients.rows import has_active_client
from ..security.roles import ADD_CLIENT
from ..settings import Settings
from ..wiring.budgets import budget_store, budgets_place
from . import doctor_postgres
from .doctor_findings import Finding, note, ok, trouble

TIMEOUT_SECONDS = 5.0
"""How long to wait for a process that writes."""


def look(settings: Settings) -> Iterator[Finding]:
    """Raises ConfigError, Unavailable."""
    path = settings.database
    verify_schema(path)
    if isinstance(path, PostgresUrl):
        yield from doctor_postgres.look(path)
    elif problem := _problem(path):
        yield trouble(f"{path} {problem}: stop the service and restore it from a backup.")
    elif not has_active_client(path):
        yield note(f"{path} is sound, and nobody can ask: {command(ADD_CLIENT)}.")
    else:
        yield ok(f"{path} is sound.")


def look_at_budgets(settings: Settings) -> Iterator[Finding]:
    path = budgets_place(settings)
    if isinstance(path, PostgresUrl):
        store, _ = budget_store(settings)
        with closing(store):
            is_built = store.open_beside()
        state = "can be used" if is_built else "holds no budgets: they are computed from the log once one is in force"
        yield ok(f"{path} {state}; {command('budget audit')} compares it with the log.")
    elif not path.exists():
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
