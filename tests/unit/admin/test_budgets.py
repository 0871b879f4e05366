"""What an operator does with budgets: recorded first, in force at once, and always as the log says."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from app.admin import budgets
from app.catalogue.prices import BILLION
from app.errors import InvalidRequest, Unavailable
from app.limits.budgets.reservations import Tokens
from app.limits.budgets.store import PotState
from app.security.security_log import SecurityLog
from app.settings import load_settings
from app.wiring.audit import open_audit
from app.wiring.budgets import BudgetsInUse, budgets_path, open_budgets
from app.wiring.catalogue import read_catalogue

from ...support.budgets import claim, spent_members
from ...support.installation import LOG, install

ALICE, ALL = "principal=alice/month/money", "all/day/tokens"
POLICY = """
[servers.local]
base_url = "http://127.0.0.1:1/v1"
[models.fast]
server = "local"
[prices.fast]
input = 1
output = 2
[[budgets]]
principal = "*"
money = 1.5
per = "month"
[[budgets]]
tokens = 1000
per = "day"
"""


@pytest.fixture(autouse=True)
def policy(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "policy.toml").write_text(POLICY)
    monkeypatch.setenv("POLICY_FILE", str(place / "policy.toml"))
    monkeypatch.setenv("LLM_MODEL", "fast")
    install()


def serve(work: Any) -> None:
    """*work* with the budgets of a service that ends after it."""

    async def main() -> None:
        settings = load_settings()
        events, audit = SecurityLog(settings.security_log_path), open_audit(settings)
        async with audit, open_budgets(settings, read_catalogue(settings), audit, events, keeps_books=True) as used:
            await work(used, audit)
        audit.close()
        events.close()

    asyncio.run(main())


async def answer(used: BudgetsInUse, audit: Any) -> None:
    """A question of alice's that spends 120 millionths and 100 tokens."""
    needed = read_catalogue(load_settings()).budgets_for("alice", (), "fast")
    reservation, *_ = await used.budgets.reserve("a" * 32, claim(*needed), "alice")
    members = {"user_id": "alice", "request_id": "a" * 32}
    received = await audit.record("ask.received", details={"reserved": reservation.members()}, **members)
    details = {"received": received.seq, "spent": spent_members(reservation, "usage", Tokens(80, 20))}
    await audit.record("ask.answered", details=details, **members)
    await used.budgets.settle(reservation, reservation.spent("usage", Tokens(80, 20)))


def states() -> dict[str, PotState]:
    return {row.budget.id: row.state for row in budgets.show()}


def actions() -> list[str]:
    return [json.loads(line)["action"] for line in LOG.read_text().splitlines()]


def test_budgets_are_shown_from_the_store_and_without_one_from_the_log() -> None:
    assert states() == {ALL: PotState(0, 0, 0)}
    serve(answer)
    seen = {ALICE: PotState(120_000, 0, 0), ALL: PotState(100, 0, 0)}
    assert states() == seen
    budgets_path(load_settings()).unlink()
    assert states() == seen


def test_an_audit_compares_every_pot_with_the_log() -> None:
    serve(answer)
    audited = budgets.audit()
    assert (audited.ok, audited.pots, audited.has_store) == (True, 2, True)
    assert list(audited.spent.values()) == [100, 120_000]
    with sqlite3.connect(budgets_path(load_settings())) as forged:
        forged.execute("UPDATE pots SET spent = spent - 1 WHERE budget = ?", (ALICE,))
    forged.close()
    audited = budgets.audit()
    assert not audited.ok
    assert [(one.pot.budget, one.log.spent, one.store.spent) for one in audited.differences] == [(ALICE, 120_000, 119_999)]


def test_without_a_store_an_audit_checks_the_log_alone() -> None:
    audited = budgets.audit()
    assert (audited.ok, audited.has_store, audited.pots) == (True, False, 0)


def test_a_budget_is_added_to_and_a_reset_takes_back_what_was_spent() -> None:
    serve(answer)
    assert asyncio.run(budgets.add(ALICE, "0.25")).most == 1_750_000_000
    assert asyncio.run(budgets.add(ALL, "50")).most == 1050
    assert asyncio.run(budgets.reset(ALL)).state == PotState(0, 0, 50)
    assert actions()[-3:] == ["budget.added", "budget.added", "budget.reset"]
    assert budgets.audit().ok
    serve(answer)
    assert states() == {ALICE: PotState(240_000, 0, BILLION // 4), ALL: PotState(100, 0, 50)}
    assert budgets.audit().ok


def test_before_the_store_is_there_the_record_alone_counts() -> None:
    assert asyncio.run(budgets.add(ALL, "50")).state == PotState(0, 0, 50)
    serve(answer)
    assert states()[ALL] == PotState(100, 0, 50)
    assert budgets.audit().ok


@pytest.mark.parametrize("amount", ["0", "-1", "x", "", "1e99"])
@pytest.mark.parametrize("budget_id", [ALICE, ALL])
def test_an_amount_that_cannot_be_is_refused_and_not_recorded(budget_id: str, amount: str) -> None:
    with pytest.raises(InvalidRequest):
        asyncio.run(budgets.add(budget_id, amount))
    assert "budget.added" not in actions()


def test_an_unknown_budget_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequest, match="all/day/tokens"):
        asyncio.run(budgets.reset("role=x/day/money"))


def test_a_store_that_cannot_be_read_is_told_of() -> None:
    budgets_path(load_settings()).write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match="cannot be used"):
        budgets.show()
