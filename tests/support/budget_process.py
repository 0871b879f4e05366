"""One process of the service as far as its budgets go: a real log, a real store, a real recovery; it can be "killed"."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.catalogue.budgets import Budget
from app.kit.postgres_url import PostgresUrl
from app.limits.budgets.books import Books
from app.limits.budgets.budgets import Budgets
from app.limits.budgets.handed_out import HandedOut
from app.limits.budgets.ledger import BudgetLedger
from app.limits.budgets.notes import Notes
from app.limits.budgets.owners import Owners
from app.limits.budgets.postgres_session import BudgetSession, PostgresOwners
from app.limits.budgets.postgres_store import PostgresBudgetStore
from app.limits.budgets.recovery import BudgetRecovery
from app.limits.budgets.reservations import Pot, Reservation
from app.limits.budgets.sqlite_store import SqliteBudgetStore
from app.limits.budgets.store import BudgetOwners, BudgetStore, PotState
from app.wiring.log_of_budgets import LogOfBudgets

from .budgets import NOON, claim

T = TypeVar("T")


class BudgetProcess:
    """`async with`: from its start to its end. `die` ends it as `kill -9` does."""

    def __init__(self, folder: Path, url: PostgresUrl | None = None) -> None:
        """*url*: of a store on PostgreSQL, for all processes of any machine."""
        self.store_path, self.log_path = folder / "budgets.sqlite3", folder / "audit_log.jsonl"
        self._store = JsonlStore(self.log_path)
        self.audit = AuditLog(self._store)
        if self.audit.is_empty():
            self.audit.create({})
        self.session = BudgetSession(url) if url is not None else None
        notes = Notes(folder) if url is None else None
        if self.session is None:
            self.owners: BudgetOwners = Owners(self.store_path)
            store: BudgetStore = SqliteBudgetStore(self.store_path)
        else:
            self.owners, store = PostgresOwners(self.session), PostgresBudgetStore(self.session)
        self.ledger = BudgetLedger(store, handed_out=HandedOut(notes, clock=lambda: 0.0) if notes else None)
        self.log = LogOfBudgets(self._store, self.audit)
        self.recovery = BudgetRecovery(self.ledger, self.owners, self.log, notes)
        self.budgets = Budgets(self.ledger, self.recovery, now=lambda: NOON)

    async def __aenter__(self) -> BudgetProcess:
        await self.audit.__aenter__()
        self.ledger.start()
        await self.recovery.attach()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.ledger.stop()
        await self.audit.__aexit__()
        self.owners.close()
        self.audit.close()

    def die(self) -> None:
        """As `kill -9` does: the store hears nothing of what waits to be told."""
        self.ledger.is_ready = False
        self.ledger._gathered.clear()
        if self.ledger._handed_out is not None:
            self.ledger._handed_out.close(are_told=False)
        self.ledger._handed_out = None

    async def ask(self, request_id: str, *budgets: Budget) -> tuple[Reservation, int]:
        """Reserve, and record the question; its number."""
        reservation, *_ = await self.budgets.reserve(request_id, claim(*budgets, price=None), "alice")
        receipt = await self.record("ask.received", request_id, reserved=reservation.members())
        return reservation, receipt

    async def record(self, action: str, request_id: str, **details: Any) -> int:
        return (await self.audit.record(action, user_id="alice", details=details, request_id=request_id)).seq

    async def pots(self) -> dict[Pot, PotState]:
        """Those that are not empty."""
        pots = await self.ledger.do(lambda store: store.pots())
        return {pot: state for pot, state in pots.items() if state != PotState(0, 0, 0)}

    def books(self) -> Books:
        """Of the whole log."""
        books = Books(is_audit=True)
        self.log.read(0, books.add)
        return books

    def actions(self) -> list[str]:
        seen: list[str] = []
        self.log.read(0, lambda seq, action, request_id, details: seen.append(action))
        return seen


def run(work: Callable[[], Awaitable[T]]) -> T:
    async def main() -> T:
        async with asyncio.timeout(30):
            return await work()

    return asyncio.run(main())
