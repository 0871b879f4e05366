"""Budget commands: what they print for people, and as JSON for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from app.admin import budgets as operator_tasks
from app.admin.budgets import Audited, BudgetRow, Difference
from app.catalogue.prices import BILLION
from app.cli.main import app
from app.limits.budgets.reservations import Pot
from app.limits.budgets.store import PotState

from ...support.budgets import DAY, budget
from ...support.commands import returning, run

MONEY = budget(money=2 * BILLION)
POT = Pot(MONEY.id, DAY)
ROW = BudgetRow(MONEY, DAY, datetime(2026, 11, 27, tzinfo=UTC), PotState(BILLION // 2, 1000, BILLION), "USD")
DOCUMENT = {
    "id": MONEY.id,
    "period": DAY,
    "unit": "USD",
    "most": "2",
    "added": "1",
    "spent": "0.5",
    "reserved": "0.000001",
    "left": "2.499999",
    "begins_anew": "2026-11-27T00:00:00Z",
}
SAME = Audited(1, {POT: BILLION}, 0, [], [], has_store=True)
OTHER = Audited(1, {POT: BILLION}, 0, ["record 7 (ask.answered): is odd"], [Difference(POT, ROW.state, PotState(0, 0, 0))], True)


def test_budgets_are_a_table_or_a_list_of_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "show", lambda: [ROW])
    assert run("budget", "show").splitlines()[1].split() == [
        *(MONEY.id, DAY, "3", "0.5", "0.000001", "2.499999", "2026-11-27T00:00:00Z", "USD")
    ]
    assert json.loads(run("budget", "show", "--json")) == [DOCUMENT]
    monkeypatch.setattr(operator_tasks, "show", list)
    assert run("budget", "show") == "the policy has no budgets\n"


def test_an_audit_without_a_difference_is_good_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "audit", lambda: SAME)
    assert run("budget", "audit").startswith("OK: 1 budget period(s)")
    document = json.loads(run("budget", "audit", "--json"))
    assert document == {
        "ok": True,
        "pots": 1,
        "open": 0,
        "store": True,
        "spent": [{"id": MONEY.id, "period": DAY, "amount": "1"}],
        "problems": [],
        "differences": [],
    }


def test_any_difference_ends_the_audit_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_tasks, "audit", lambda: OTHER)
    done = CliRunner().invoke(app, ["budget", "audit"])
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        "record 7 (ask.answered): is odd",
        f"{MONEY.id} {DAY}: the log says 0.5 spent, 0.000001 reserved, 1 added, the store 0 spent, 0 reserved, 0 added",
        "DIFFERENT: 2 finding(s)",
    ]
    found = json.loads(CliRunner().invoke(app, ["budget", "audit", "--json"]).stdout)
    assert found["differences"][0]["log"] == {"spent": "0.5", "reserved": "0.000001", "added": "1"}


def test_a_budget_is_added_to_and_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(operator_tasks, "add", returning(ROW, calls))
    monkeypatch.setattr(operator_tasks, "reset", returning(ROW, calls))
    assert run("budget", "add", MONEY.id, "1.00") == f"{MONEY.id} has 3 USD in {DAY}\n"
    assert run("budget", "reset", MONEY.id) == f"{MONEY.id} has spent 0.5 USD in {DAY}\n"
    assert json.loads(run("budget", "add", MONEY.id, "1", "--json")) == DOCUMENT
    assert calls == [(MONEY.id, "1.00"), (MONEY.id,), (MONEY.id, "1")]


@pytest.mark.parametrize("amount", ["-1", "-1.50", "-h1"])
def test_an_amount_below_0_is_an_amount_and_no_option(monkeypatch: pytest.MonkeyPatch, amount: str) -> None:
    """So that the refusal speaks of the amount."""
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(operator_tasks, "add", returning(ROW, calls))
    run("budget", "add", MONEY.id, amount)
    assert calls == [(MONEY.id, amount)]
