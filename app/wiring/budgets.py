"""The budgets of one process: opened once a budget is in force, and looked after from then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ..audit.log import AuditLog
from ..catalogue.models import Catalogue
from ..catalogue.values import sqlite_path
from ..kit.postgres_url import PostgresUrl
from ..limits.budgets.budgets import Budgets
from ..limits.budgets.handed_out import HandedOut
from ..limits.budgets.ledger import BudgetLedger
from ..limits.budgets.notes import Notes
from ..limits.budgets.owners import Owners
from ..limits.budgets.recovery import BudgetRecovery
from ..limits.budgets.reservations import Share, shown
from ..limits.budgets.sqlite_store import SqliteBudgetStore
from ..limits.budgets.store import BudgetOwners, BudgetStore, PotState
from ..limits.shared_folder import SharedFolder, path_of
from ..security.security_log import SecurityLog
from ..settings import Settings
from .audit import open_store
from .log_of_budgets import LogOfBudgets

LOG = logging.getLogger("app.limits")
LOOK_SECONDS = 1.0
ATTACH_SECONDS = 0.25
"""From an attempt to attach the store that failed to the next one."""


def budgets_place(settings: Settings) -> Path | PostgresUrl:
    """Of the store: what BUDGETS_URL names, else beside the clients."""
    if settings.budgets_url is not None:
        named = PostgresUrl(settings.budgets_url, "BUDGETS_URL", settings.budgets_password_file)
        return sqlite_path(settings.budgets_url) or named
    clients = settings.database
    return clients.with_name("budgets.sqlite3") if isinstance(clients, Path) else clients


def budgets_path(settings: Settings) -> Path:
    """Of a store in a file."""
    place = budgets_place(settings)
    assert isinstance(place, Path), "it is on a server"
    return place


def budget_store(settings: Settings) -> tuple[BudgetStore, BudgetOwners]:
    """Neither is open yet."""
    place = budgets_place(settings)
    if isinstance(place, Path):
        return SqliteBudgetStore(place), Owners(place)
    from ..limits.budgets.postgres_session import BudgetSession, PostgresOwners  # late: only where it is configured
    from ..limits.budgets.postgres_store import PostgresBudgetStore  # late: as above

    session = BudgetSession(place, settings.node)
    return PostgresBudgetStore(session), PostgresOwners(session)


class BudgetsInUse:
    """For one event loop. Without a budget it opens nothing."""

    def __init__(
        self,
        settings: Settings,
        audit: AuditLog,
        events: SecurityLog,
        *,
        keeps_books: bool = True,
        on_alarm: Callable[[Share], None] = lambda share: None,
    ) -> None:
        """*keeps_books*: this process tells the store up to where the log is computed.

        *on_alarm*: a budget has spent most of what it has.
        """
        self._tell_alarm = on_alarm
        self._events, self._keeps_books = events, keeps_books
        store, self._owners = budget_store(settings)
        self._folder = SharedFolder(path_of(settings.audit_log_path)) if isinstance(store, SqliteBudgetStore) else None
        notes = Notes(self._folder.path) if self._folder else None
        self._ledger = BudgetLedger(store, handed_out=HandedOut(notes) if notes else None)
        self._ledger.on_trouble = self._on_trouble
        recovery = BudgetRecovery(self._ledger, self._owners, LogOfBudgets(open_store(settings), audit), notes)
        self.budgets = Budgets(self._ledger, recovery, on_alarm=self._on_alarm)
        self._task: asyncio.Task[None] | None = None

    async def open_for(self, catalogue: Catalogue) -> None:
        """Open the store if *catalogue* has budgets. What fails is tried again soon."""
        if catalogue.budgets and self._task is None:
            self._start(looks_at_once=False)
            await self.budgets.look(keeps_books=False)

    def use(self, catalogue: Catalogue) -> None:
        """As `open_for`, in a moment: questions with a budget wait for it."""
        if catalogue.budgets and self._task is None:
            self._start(looks_at_once=True)

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            await self._ledger.stop()
            if self._folder is not None:
                self._folder.close()
        self._owners.close()

    def _start(self, *, looks_at_once: bool) -> None:
        if self._folder is not None:
            try:
                self._folder.stay()
            except OSError as error:
                LOG.warning("Each question reserves by itself, as there is no shared memory: %s.", error.strerror)
        self._ledger.start()
        self._task = asyncio.create_task(self._look_forever(looks_at_once=looks_at_once))

    async def _look_forever(self, *, looks_at_once: bool) -> None:
        if looks_at_once:
            await self.budgets.look(keeps_books=False)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._ledger.needs_attaching.wait()
            self._ledger.needs_attaching.clear()
            was_ready = self._ledger.is_ready
            await self.budgets.look(keeps_books=self._keeps_books)
            if not (was_ready or self._ledger.is_ready):
                await asyncio.sleep(ATTACH_SECONDS)

    def _on_trouble(self, why: str | None) -> None:
        if why is None:
            self._events.event("budgets_back")
            return
        LOG.error("The budgets cannot be used, and questions that have one are refused: %s.", why)
        self._events.event("budgets_unavailable", level="ERROR", reason=why)

    def _on_alarm(self, share: Share, state: PotState) -> None:
        self._tell_alarm(share)
        spent, most = (shown(amount, share.counts_money) for amount in (state.spent, share.most + state.added))
        self._events.event(
            "budget_nearly_spent", level="WARNING", budget=share.pot.budget, period=share.pot.period, spent=spent, most=most
        )


@asynccontextmanager
async def open_budgets(
    settings: Settings,
    catalogue: Catalogue,
    audit: AuditLog,
    events: SecurityLog,
    *,
    keeps_books: bool,
    on_alarm: Callable[[Share], None] = lambda share: None,
) -> AsyncIterator[BudgetsInUse]:
    """In use until the end of the block, as *audit* must be. Further: as BudgetsInUse has it."""
    budgets = BudgetsInUse(settings, audit, events, keeps_books=keeps_books, on_alarm=on_alarm)
    try:
        await budgets.open_for(catalogue)
        yield budgets
    finally:
        await budgets.aclose()
