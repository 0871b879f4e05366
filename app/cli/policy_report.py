"""What `policy check` prints: for people in tables and sentences, or as one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..admin.policy_check import CheckedPolicy
from ..admin.policy_diff import Change, server_text
from ..admin.policy_meaning import EVERYONE, Row, meaning_of, most_of
from ..catalogue.models import Catalogue
from .columns import columns
from .output import printable


def check_document(checked: CheckedPolicy, changed: Sequence[Change] | None) -> dict[str, Any]:
    catalogue = checked.catalogue
    document = {"file": str(checked.path), "ok": catalogue is not None, "problems": list(checked.problems)}
    if catalogue is None:
        return document
    named = [{"who": one.who, "what": one.what, "before": one.before, "after": one.after} for one in changed or ()]
    return {
        **document,
        "sha256": catalogue.sha256,
        "notes": list(checked.notes),
        **meaning_of(catalogue),
        **({} if changed is None else {"changes": named}),
    }


def check_text(checked: CheckedPolicy, changed: Sequence[Change] | None) -> str:
    """Sentences for what is wrong; else tables, notes and changes."""
    if checked.catalogue is None:
        return "\n".join(map(printable, checked.problems))
    parts = [tables_of(checked.catalogue)]
    if checked.notes:
        parts.append("\n".join(["Note:", *(f"- {printable(note)}" for note in checked.notes)]))
    if changed is not None:
        parts.append(
            "\n".join(["Changes:", *(f"- {printable(one.sentence())}" for one in changed)]) if changed else "No changes."
        )
    parts.append(f"{printable(str(checked.path))} can be used: SHA-256 {checked.catalogue.sha256}.")
    return "\n\n".join(parts)


def tables_of(catalogue: Catalogue) -> str:
    meaning = meaning_of(catalogue)
    parts = [
        columns(
            ["model", "for", "at", "served by", "answer", "context", "tokens/min", "input/output", "falls back to"],
            [_model_row(row, catalogue.currency) for row in meaning["models"]],
        ),
        columns(
            ["who", "models", "requests/min", "tokens/min", "answer", "wait", "on the server"],
            [_who_row(row) for row in meaning["who"]],
        ),
    ]
    if catalogue.budgets:
        pairs = zip(catalogue.budgets, meaning["budgets"], strict=True)
        rows = [[str(row["for"]), most_of(budget, catalogue.currency), budget.id] for budget, row in pairs]
        parts.append(columns(["budget for", f"most ({catalogue.time_zone})", "id"], rows))
    return "\n\n".join(parts)


def _model_row(row: Row, currency: str) -> list[str]:
    price = row["price"]
    return [
        ", ".join([row["model"], *(f"={alias}" for alias in row["aliases"])]),
        ", ".join(row["for"]),
        ", ".join(row["endpoints"]) if len(row["endpoints"]) < 5 else "all",
        ", ".join(server_text(one, row["model"]) for one in row["servers"]),
        _answer(row),
        _number(row["context_tokens"]),
        _number(row["tokens_per_minute"]),
        "no price" if price is None else f"{price['input']}/{price['output']} {currency}",
        ", ".join(row["fallback"]) or "-",
    ]


def _who_row(row: Row) -> list[str]:
    return [
        row["who"] if row["who"] == EVERYONE else f"with {row['who']}",
        ", ".join(row["models"]) or "none",
        _number(row["requests_per_minute"]),
        _number(row["tokens_per_minute"]),
        _answer(row),
        f"{row['timeout_seconds']:g} s",
        ", ".join(row["server_side"]) or "-",
    ]


def _answer(row: Row) -> str:
    """The ceiling, and what is asked for where a request names no length."""
    default = row["default_output_tokens"]
    return _number(row["max_output_tokens"]) + (f" ({default:,})" if default else "")


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
