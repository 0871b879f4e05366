"""What an operator does with budgets: see them, compare them with the log, add to one, reset it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from ..audit.storage.running import is_running
from ..catalogue.budgets import EACH, Budget, begins_anew, period_of
from ..catalogue.models import Catalogue
from ..catalogue.prices import amount_of
from ..errors import InvalidRequest, ServerUnavailable
from ..limits.budgets.books import Books
from ..limits.budgets.budgets import now_utc
from ..limits.budgets.reservations import MOST_AMOUNT, TOKENS, Pot, shown
from ..limits.budgets.store import BudgetStore, PotState, StoreFailed
from ..settings import Settings, load_settings
from ..wiring.audit import open_audit, open_store
from ..wiring.budgets import budget_store
from ..wiring.catalogue import read_catalogue
from ..wiring.log_of_budgets import LogOfBudgets
from ..wiring.start_checks import verify_setup
from .operator import operating

SETTLE_SECONDS = 5.0
"""How long a running service is given for what it has recorded and not settled yet."""
NOTHING = PotState(0, 0, 0)


@dataclass(frozen=True, slots=True)
class BudgetRow:
    """One budget in its present period. Amounts as in `reservations.py`."""

    budget: Budget
    period: str
    begins_anew: datetime
    state: PotState
    unit: str

    @property
    def most(self) -> int:
        return self.budget.most + self.state.added

    def shown(self, amount: int) -> str | int:
        return shown(amount, self.budget.counts_money)


@dataclass(frozen=True, slots=True)
class Difference:
    """A pot of which the log and the store say different things."""

    pot: Pot
    log: PotState
    store: PotState


@dataclass(frozen=True, slots=True)
class Audited:
    pots: int
    spent: dict[Pot, int]
    open: int
    """Questions that have no end yet."""
    problems: list[str]
    differences: list[Difference]
    has_store: bool

    @property
    def ok(self) -> bool:
        return not self.problems and not self.differences


def show(settings: Settings | None = None, catalogue: Catalogue | None = None) -> list[BudgetRow]:
    """Every budget of the policy, as far as it was used in its present period.

    From the store; where there is none, from the log. Blocks. *settings*, *catalogue*: those of a
    service that runs. Raises ConfigError, Unavailable.
    """
    if settings is None or catalogue is None:
        settings, catalogue = _configured()
    states = _states(settings)
    now = now_utc()
    rows = []
    for budget in _each(catalogue, states):
        period = period_of(budget, now, catalogue.time_zone)
        unit = catalogue.currency if budget.counts_money else TOKENS
        state = states.get(Pot(budget.id, period), NOTHING)
        rows.append(BudgetRow(budget, period, begins_anew(budget, now, catalogue.time_zone), state, unit))
    return rows


def audit() -> Audited:
    """Compute all that was ever spent from the log alone, and compare it with the store.

    A running service is given a moment, as a question is settled after its record.
    """
    settings = load_settings()
    verify_setup(settings)
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        audited = _compare(_books(settings), _stored(settings))
        if audited.ok or time.monotonic() > end or not is_running(settings.audit_log_path):
            return audited
        time.sleep(SETTLE_SECONDS / 20)


async def add(budget_id: str, amount: str) -> BudgetRow:
    """Give a budget more for its present period. Raises InvalidRequest, AuditUnavailable."""
    settings, catalogue = _configured()
    budget = _named(catalogue, budget_id)
    try:
        more = amount_of(amount, MOST_AMOUNT // 10**9) if budget.counts_money else int(amount)
    except ValueError as error:
        what = str(error) if budget.counts_money else "takes a whole number of tokens"
        raise InvalidRequest(f"The amount {what}.") from None
    if more <= 0:
        raise InvalidRequest("The amount takes a number above 0.")
    return await _change(settings, catalogue, budget, "budget.added", more)


async def reset(budget_id: str) -> BudgetRow:
    """Forget what a budget has spent in its present period. Raises as `add`."""
    settings, catalogue = _configured()
    budget = _named(catalogue, budget_id)
    pot = Pot(budget.id, period_of(budget, now_utc(), catalogue.time_zone))
    return await _change(settings, catalogue, budget, "budget.reset", _states(settings).get(pot, NOTHING).spent)


async def _change(settings: Settings, catalogue: Catalogue, budget: Budget, action: str, amount: int) -> BudgetRow:
    """Recorded before it is made. A store that is not there yet is computed from the log later."""
    now = now_utc()
    period = period_of(budget, now, catalogue.time_zone)
    unit = catalogue.currency if budget.counts_money else TOKENS
    changes = {"added": amount} if action == "budget.added" else {"spent": -amount}
    with _unattached(settings):  # else who makes the store from the log just now might count it twice
        async with operating() as operator:
            details = {"id": budget.id, "period": period, "unit": unit, "amount": shown(amount, budget.counts_money)}
            await operator.record(action, **details)
        with _opened(settings) as store:
            state = NOTHING if store is None else store.adjust(Pot(budget.id, period), **changes)
    if store is None:
        state = _states(settings).get(Pot(budget.id, period), NOTHING)
    return BudgetRow(budget, period, begins_anew(budget, now, catalogue.time_zone), state, unit)


def _configured() -> tuple[Settings, Catalogue]:
    settings = load_settings()
    verify_setup(settings)
    return settings, read_catalogue(settings)


def _named(catalogue: Catalogue, budget_id: str) -> Budget:
    for budget in catalogue.budgets:
        if budget.principal == EACH:
            name = budget_id.partition("/")[0].removeprefix("principal=")
            if budget.of(name).id == budget_id:
                return budget.of(name)
        if budget.id == budget_id:
            return budget
    known = ", ".join(budget.id for budget in catalogue.budgets) or "none"
    raise InvalidRequest(f"There is no such budget in the policy. It has: {known}.")


def _each(catalogue: Catalogue, states: dict[Pot, PotState]) -> Iterator[Budget]:
    """Of a budget for each principal: those of the principals who have used it."""
    own = {budget.id for budget in catalogue.budgets}
    for budget in catalogue.budgets:
        if budget.principal != EACH:
            yield budget
            continue
        for name in sorted({pot.budget.partition("/")[0].removeprefix("principal=") for pot in states}):
            one = budget.of(name)
            if one.id not in own and any(pot.budget == one.id for pot in states):
                yield one


def _states(settings: Settings) -> dict[Pot, PotState]:
    stored = _stored(settings)
    return _logged(_books(settings)) if stored is None else stored


def _books(settings: Settings) -> Books:
    books, log = Books(is_audit=True), open_store(settings)
    try:
        LogOfBudgets(log, open_audit(settings)).read(0, books.add)
    except StoreFailed as failed:
        raise ServerUnavailable(f"{failed}.") from failed
    return books


def _logged(books: Books) -> dict[Pot, PotState]:
    reserved = books.reserved()
    pots = {*books.spent, *books.added, *reserved}
    return {pot: PotState(books.spent[pot], reserved[pot], books.added[pot]) for pot in pots}


def _stored(settings: Settings) -> dict[Pot, PotState] | None:
    """None: there is no store."""
    with _opened(settings) as store:
        return None if store is None else store.pots()


@contextmanager
def _unattached(settings: Settings) -> Iterator[None]:
    """No process attaches the store meanwhile. Raises Unavailable."""
    store, owners = budget_store(settings)
    try:
        with owners.holding_off(SETTLE_SECONDS):
            yield
    except StoreFailed as failed:
        raise ServerUnavailable(f"{failed}.") from failed
    finally:
        owners.close()
        store.close()


@contextmanager
def _opened(settings: Settings) -> Iterator[BudgetStore | None]:
    """The store, unless there is none. Raises Unavailable."""
    store, _ = budget_store(settings)
    try:
        yield store if store.open_beside() else None
    except StoreFailed as failed:
        raise ServerUnavailable(f"{failed}.") from failed
    finally:
        store.close()


def _compare(books: Books, stored: dict[Pot, PotState] | None) -> Audited:
    logged = _logged(books)
    known = logged if stored is None else stored
    pairs = [(pot, logged.get(pot, NOTHING), known.get(pot, NOTHING)) for pot in sorted({*logged, *known})]
    differences = [Difference(pot, one, other) for pot, one, other in pairs if one != other]
    spent = {pot: amount for pot, amount in sorted(books.spent.items()) if amount}
    return Audited(len(logged), spent, len(books.open), books.problems, differences, stored is not None)
