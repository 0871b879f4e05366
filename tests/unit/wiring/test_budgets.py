"""The budgets of a process: nothing is opened without one, and what happens to them is told."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from app.audit.log import AuditLog
from app.catalogue.models import Catalogue
from app.limits.budgets.errors import BudgetsUnavailable
from app.security.security_log import SecurityLog
from app.settings import Settings
from app.wiring.budgets import ATTACH_SECONDS, BudgetsInUse, budgets_path, open_budgets

from ...support.budgets import budget, claim
from ...support.caps import CAPS
from ...support.clean_settings import use_defaults
from ...support.stores import open_store
from ...support.waiting import until

NONE = Catalogue({}, CAPS, {}, frozenset())
TOKENS = budget(tokens=160, per="month")
SOME = replace(NONE, budgets=(TOKENS,))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    use_defaults(monkeypatch, tmp_path)
    (tmp_path / "logs").mkdir(exist_ok=True)
    found = Settings()
    audit = AuditLog(open_store(found.audit_log_path))
    audit.create({})
    return found


async def ask(used: BudgetsInUse, key: str = "a" * 32) -> None:
    reservation, *_ = await used.budgets.reserve(key, claim(TOKENS, price=None), "alice")
    await used.budgets.settle(reservation, reservation.spent("reservation"))


def run(settings: Settings, catalogue: Catalogue, work: object) -> str:
    """Run *work* with the budgets; the security log afterwards."""

    async def main() -> None:
        events, audit = SecurityLog(settings.security_log_path), AuditLog(open_store(settings.audit_log_path))
        async with audit, open_budgets(settings, catalogue, audit, events, keeps_books=True) as used:
            await work(used)  # type: ignore[operator]  # a function of this module's tests
        events.close()

    asyncio.run(main())
    path = settings.security_log_path
    return path.read_text() if path.exists() else ""


def test_without_a_budget_nothing_is_opened(settings: Settings) -> None:
    async def work(used: BudgetsInUse) -> None:
        with pytest.raises(BudgetsUnavailable):
            await ask(used)

    run(settings, NONE, work)
    assert not budgets_path(settings).exists()


def test_a_budget_is_in_force_at_once_and_most_of_it_spent_is_told(settings: Settings) -> None:
    told = run(settings, SOME, ask)
    assert f'budget_nearly_spent budget="{TOKENS.id}"' in told
    assert "spent=150 most=160" in told


def test_a_budget_that_comes_with_a_new_policy_is_in_force_in_a_moment(settings: Settings) -> None:
    async def work(used: BudgetsInUse) -> None:
        used.use(SOME)
        used.use(SOME)
        await until(lambda: used.budgets.ledger.is_ready)
        await ask(used)

    run(settings, NONE, work)


@pytest.mark.slow
def test_a_store_that_cannot_be_opened_is_told_of_and_tried_again(settings: Settings) -> None:
    path = budgets_path(settings)
    path.mkdir()

    async def work(used: BudgetsInUse) -> None:
        with pytest.raises(BudgetsUnavailable):
            await ask(used)
        path.rmdir()
        await until(lambda: used.budgets.ledger.is_ready)
        await ask(used)

    told = run(settings, SOME, work)
    assert told.count("budgets_unavailable") == 1
    assert told.count("budgets_back") == 1


def test_the_store_stands_beside_the_clients_or_where_its_url_says(settings: Settings, tmp_path: Path) -> None:
    assert budgets_path(settings) == tmp_path / "logs/budgets.sqlite3"
    elsewhere = settings.model_copy(update={"budgets_url": f"sqlite+aiosqlite:///{tmp_path}/b.db"})
    assert budgets_path(elsewhere) == tmp_path / "b.db"


def test_a_server_that_is_down_is_asked_now_and_then(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts without a pause took half a core for as long as the server was down."""
    attempts = 0

    def refuse(_: asyncio.StreamReader, caller: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        caller.close()

    async def work(used: BudgetsInUse) -> None:
        async with await asyncio.start_server(refuse, sock=port):
            await asyncio.sleep(4 * ATTACH_SECONDS)
        assert not used.budgets.ledger.is_ready

    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        monkeypatch.setenv("BUDGETS_URL", f"postgresql://nobody@127.0.0.1:{port.getsockname()[1]}/none?sslmode=disable")
        run(Settings(), SOME, work)
    assert 1 <= attempts <= 16  # twice in an attempt, for the second goes by a new connection
