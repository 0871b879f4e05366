"""The machines that share a database: alike in what a caller could notice, or refused.

Each worker holds an advisory lock of its own number as long as it is connected, so a row whose
lock is free is of one that is gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from .. import __version__
from ..audit.evidence.log_key import load_signer
from ..catalogue.models import Catalogue
from ..errors import ConfigError
from ..kit.command import command
from ..kit.node_marks import differing, marks_of
from ..kit.postgres import AsyncBoundedConnection, connect
from ..kit.postgres_url import PostgresUrl
from ..kit.postgres_work import PostgresWork
from ..security.security_log import SecurityLog
from ..settings import Settings
from ..settings.identity import IdentitySettings
from ..settings.limits import LimitSettings

LOG = logging.getLogger("app.nodes")
LOCKS = 0x5AA_0DE
SECRET, POLICY, LOG_KEY = "SECRET_KEY", "POLICY_FILE", "AUDIT_KEY_PATH"
OF_A_MACHINE = ("_url", "_file", "_timeout_seconds")
"""The ends of names of settings that may differ: where things are, and how long to wait."""
SWITCH_SECONDS = 3.0
"""So long machines may differ while a policy is switched."""
HELD = """(SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = %s
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""
GONE = f"DELETE FROM assistant.nodes WHERE instance NOT IN {HELD}"  # noqa: S608 - a constant
ENTER = """INSERT INTO assistant.nodes (instance, name, version, fingerprints) VALUES (%s, %s, %s, %s)
ON CONFLICT (instance) DO UPDATE SET fingerprints = excluded.fingerprints"""
TELL = "SELECT audit.tell_node(%s, %s, %s, %s, %s)"


@dataclass(frozen=True, slots=True)
class MeetingPlace:
    """The database in which machines tell of themselves: that of the clients, else the ledger's."""

    url: PostgresUrl
    has_clients: bool

    @property
    def table(self) -> str:
        return "assistant.nodes" if self.has_clients else "audit.nodes"

    @property
    def live(self) -> str:
        return f"SELECT DISTINCT name, fingerprints FROM {self.table} WHERE instance IN {HELD}"  # noqa: S608 - constants

    async def tell(self, connection: AsyncBoundedConnection, *row: object) -> None:
        """*row*: instance, name, version, marks. Raises psycopg.Error."""
        if self.has_clients:
            await connection.execute(GONE, [LOCKS])
            await connection.execute(ENTER, row)
        else:
            await connection.execute(TELL, [*row, LOCKS])


def meeting_place(settings: Settings) -> MeetingPlace | None:
    """None: this machine has all to itself."""
    if isinstance(settings.database, PostgresUrl):
        return MeetingPlace(settings.database, has_clients=True)
    ledger = settings.ledger
    if ledger is None:
        return None
    return MeetingPlace(PostgresUrl(ledger.url, "AUDIT_URL", ledger.password_file), has_clients=False)


def marks(settings: Settings, catalogue: Catalogue) -> dict[str, str]:
    """Of every setting of identity and limits that machines must share, of policy, name and key."""
    fields = [*IdentitySettings.model_fields, *LimitSettings.model_fields, "audit_origin"]
    values = {name.upper(): _plain(getattr(settings, name)) for name in fields if not name.endswith(OF_A_MACHINE)}
    values |= {POLICY: catalogue.sha256, LOG_KEY: _key_of(settings.audit_key_path)}
    return marks_of(values, settings.secret_key.get_secret_value())


def verify_alike(settings: Settings, catalogue: Catalogue) -> None:
    """Raises ConfigError where a machine that serves now has other settings than this one."""
    place = meeting_place(settings)
    if place is None:
        return
    url = place.url
    try:
        with connect(url) as connection:
            rows = connection.execute(place.live.encode(), [LOCKS]).fetchall()
    except psycopg.errors.UndefinedTable:
        raise ConfigError(f"{url.setting}: {url} was prepared by an older release: run {command('audit prepare')}.") from None
    except psycopg.Error as error:
        if not place.has_clients:  # that closes the log, and no more; what differs is told once it is back
            return
        raise ConfigError(f"{url.setting}: {url} cannot be used now: {url.what_failed(error)}.") from None
    if found := _differences(rows, marks(settings, catalogue)):
        node, names = next(iter(found.items()))
        raise ConfigError(
            f"Node {node} serves with another {' and another '.join(names)} than this one: make them alike, "
            "or stop the other machines first."
        )


class Nodes:
    """What this worker tells of itself, and how the others differ from it."""

    def __init__(self, place: MeetingPlace, settings: Settings, catalogue: Catalogue, events: SecurityLog) -> None:
        self._place, self._settings, self._events = place, settings, events
        self._marks = marks(settings, catalogue)
        self._instance = secrets.randbelow(2**31 - 1) + 1
        self.work = PostgresWork(place.url, "Other machines could not be looked at")
        self.differing: dict[str, list[str]] | None = {}
        """By the names of other machines, the settings in which they differ."""
        self._reporting: asyncio.TimerHandle | None = None
        self._reported: dict[str, list[str]] = {}
        self.on_other_policy: Callable[[], None] = lambda: None
        """Another machine has, or takes, another policy file."""

    def use(self, catalogue: Catalogue) -> None:
        """From now on this worker has this policy: tell it, and see whether others have it."""
        self._marks = marks(self._settings, catalogue)
        self.work.later(self._tell)

    def news(self) -> None:
        """Another machine has come, or has changed."""
        self.work.later(self._look)

    async def enter(self, connection: AsyncBoundedConnection) -> None:
        """On a connection that stays open. Raises psycopg.Error."""
        await connection.execute("SELECT pg_advisory_lock(%s, %s)", [LOCKS, self._instance])
        await self._write(connection)

    async def _write(self, connection: AsyncBoundedConnection) -> None:
        await self._place.tell(connection, self._instance, self._settings.node, __version__, json.dumps(self._marks))

    async def _tell(self, connection: AsyncBoundedConnection) -> None:
        await self._write(connection)
        await self._look(connection)

    async def _look(self, connection: AsyncBoundedConnection) -> None:
        rows = await (await connection.execute(self._place.live.encode(), [LOCKS])).fetchall()
        before, now = self.differing or {}, _differences(rows, self._marks)
        now.pop(self._settings.node, None)  # its other workers are about to switch, too
        self.differing = now
        if now != before:
            self._report_later()
            if any(POLICY in names for names in now.values()):
                self.on_other_policy()

    def _report_later(self) -> None:
        """Unless it was only the moment in which one machine after the other switches."""
        if self._reporting is not None:
            self._reporting.cancel()
        self._reporting = asyncio.get_running_loop().call_later(SWITCH_SECONDS, self._report)

    def _report(self) -> None:
        now = self.differing or {}
        for node, names in now.items():
            if self._reported.get(node) != names:
                LOG.error("Node %s serves with another %s than this one: make them alike.", node, " and another ".join(names))
                self._events.event("nodes_differ", level="ERROR", node=node, settings=" ".join(names))
        self._reported = now

    async def aclose(self) -> None:
        if self._reporting is not None:
            self._reporting.cancel()
        await self.work.aclose()


def _differences(rows: Iterable[tuple[Any, ...]], own: dict[str, str]) -> dict[str, list[str]]:
    found = {name: differing(own, json.loads(text), SECRET) for name, text in rows}
    return {name: names for name, names in found.items() if names}


def _plain(value: object) -> object:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def _key_of(path: Path) -> str:
    """The log's verifier key: each machine that may sign has the same."""
    try:
        return load_signer(path).verifier_key.text()
    except (FileNotFoundError, ConfigError):
        return ""
