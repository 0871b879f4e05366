"""`budget`: what the budgets have spent, and whether the log says the same."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer

from ..admin import budgets as admin
from ..errors import InvalidRequest
from ..kit.moments import iso
from ..limits.budgets.reservations import shown
from ..limits.budgets.store import PotState
from .output import Json, say
from .usage import argument

budget = typer.Typer(add_completion=False, no_args_is_help=True)
BudgetId = Annotated[str, typer.Argument(metavar="ID", help="As `budget show` names it, such as principal=alice/day/money.")]


@budget.command("show")
def budget_show(as_json: Json = False) -> None:
    """What each budget has, has spent, and has left in its present period."""
    rows = admin.show()
    lines = [_columns("budget", "period", "has", "spent", "reserved", "left", "begins anew")]
    lines += [_line(row) for row in rows]
    say([_document(row) for row in rows], as_json, "\n".join(lines) if rows else "the policy has no budgets")


@budget.command("audit")
def budget_audit(as_json: Json = False) -> None:
    """Compute every spend from the log alone, and compare it with the store.

    Exit status 1 on any difference.
    """
    audited = admin.audit()
    document = {
        "ok": audited.ok,
        "pots": audited.pots,
        "open": audited.open,
        "store": audited.has_store,
        "spent": [
            {"id": pot.budget, "period": pot.period, "amount": _shown(pot.budget, amount)}
            for pot, amount in audited.spent.items()
        ],
        "problems": audited.problems,
        "differences": [
            {
                "id": one.pot.budget,
                "period": one.pot.period,
                "log": _state(one.pot.budget, one.log),
                "store": _state(one.pot.budget, one.store),
            }
            for one in audited.differences
        ],
    }
    say(document, as_json, "\n".join(_audit_lines(audited)))
    sys.exit(0 if audited.ok else 1)


@budget.command("add", context_settings={"ignore_unknown_options": True})  # else -1 is taken for one
def budget_add(
    budget_id: BudgetId,
    amount: Annotated[str, typer.Argument(help="Money such as 5.00, or a whole number of tokens.")],
    as_json: Json = False,
) -> None:
    """Give a budget more for its present period. Recorded; it counts at once."""
    with argument("ID or AMOUNT", InvalidRequest):
        row = asyncio.run(admin.add(budget_id, amount))
    say(_document(row), as_json, f"{row.budget.id} has {row.shown(row.most)} {row.unit} in {row.period}")


@budget.command("reset")
def budget_reset(budget_id: BudgetId, as_json: Json = False) -> None:
    """Forget what a budget has spent in its present period. Recorded; it counts at once."""
    with argument("ID", InvalidRequest):
        row = asyncio.run(admin.reset(budget_id))
    say(_document(row), as_json, f"{row.budget.id} has spent {row.shown(row.state.spent)} {row.unit} in {row.period}")


def _document(row: admin.BudgetRow) -> dict[str, Any]:
    return {
        "id": row.budget.id,
        "period": row.period,
        "unit": row.unit,
        "most": row.shown(row.budget.most),
        "added": row.shown(row.state.added),
        "spent": row.shown(row.state.spent),
        "reserved": row.shown(row.state.open),
        "left": row.shown(row.state.left(row.budget.most)),
        "begins_anew": iso(row.begins_anew),
    }


def _line(row: admin.BudgetRow) -> str:
    state = row.state
    amounts = (row.most, state.spent, state.open, state.left(row.budget.most))
    return _columns(
        row.budget.id, row.period, *(str(row.shown(amount)) for amount in amounts), f"{iso(row.begins_anew)} {row.unit}"
    )


def _columns(name: str, period: str, *others: str) -> str:
    *amounts, last = others
    return "  ".join([f"{name:<40}", f"{period:<16}", *(f"{amount:>14}" for amount in amounts), last]).rstrip()


def _audit_lines(audited: admin.Audited) -> list[str]:
    lines = [*audited.problems]
    for one in audited.differences:
        name = one.pot.budget
        says = f"the log says {_words(name, one.log)}, the store {_words(name, one.store)}"
        lines.append(f"{name} {one.pot.period}: {says}")
    compared = "the store says the same" if audited.has_store else "there is no store, it is made from the log at the next start"
    if not lines:
        return [f"OK: {audited.pots} budget period(s) computed from the log, {audited.open} open question(s); {compared}"]
    return [*lines, f"DIFFERENT: {len(lines)} finding(s)"]


def _words(name: str, state: PotState) -> str:
    return f"{_shown(name, state.spent)} spent, {_shown(name, state.open)} reserved, {_shown(name, state.added)} added"


def _state(name: str, state: PotState) -> dict[str, Any]:
    return {"spent": _shown(name, state.spent), "reserved": _shown(name, state.open), "added": _shown(name, state.added)}


def _shown(name: str, amount: int) -> str | int:
    return shown(amount, name.endswith("/money"))
