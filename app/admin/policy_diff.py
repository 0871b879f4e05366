"""What changes, and for which callers, when one policy takes the place of another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..catalogue.models import Catalogue
from .policy_meaning import EVERYONE, Row, meaning_of, most_of, roles_of, who_may

MAY_USE = "may use "


@dataclass(frozen=True, slots=True)
class Change:
    """One fact about *who*; None: there is, or was, none."""

    who: str
    what: str
    before: str | None
    after: str | None

    def sentence(self) -> str:
        if self.what.startswith(MAY_USE):
            model = self.what.removeprefix(MAY_USE)
            return f"{self.who} may {'no longer' if self.after is None else 'now'} use {model}."
        if self.before is None:
            return f"{self.who}: {self.what} is new: {self.after}."
        if self.after is None:
            return f"{self.who}: {self.what} is gone; it was {self.before}."
        return f"{self.who}: {self.what} was {self.before} and is {self.after}."


def changes(before: Catalogue, after: Catalogue) -> list[Change]:
    """In the order of the tables. Of a model that is new or gone, who may use it and no more.

    What changes for everyone is not repeated for each role.
    """
    roles = sorted({*roles_of(before), *roles_of(after)})
    old, new = facts_of(before, roles), facts_of(after, roles)
    in_both = before.models.keys() & after.models.keys()
    found = []
    for who, what, model in dict.fromkeys([*new, *old]):
        is_other = old.get((who, what, model)) != new.get((who, what, model))
        if is_other and (model is None or model in in_both):
            found.append(Change(who, what, old.get((who, what, model)), new.get((who, what, model))))
    of_everyone = {replace(change, who="") for change in found if change.who == EVERYONE}
    return [change for change in found if change.who not in roles or replace(change, who="") not in of_everyone]


Fact = tuple[str, str, str | None]
"""Who it is about, what it says, and the model whose fact it is, if it is one's."""


def facts_of(catalogue: Catalogue, roles: Iterable[str]) -> dict[Fact, str]:
    """Each fact with its value as text. A fact that says "none" is left out."""
    meaning = meaning_of(catalogue)
    found: dict[Fact, str] = {}
    for row in who_may(catalogue, roles):
        found |= {(row["who"], MAY_USE + model, None): "yes" for model in row["models"]}
        found |= {(row["who"], what, None): text for what, text in _texts(row, ("who", "models"))}
    for row in meaning["models"]:
        about = f"questions to {row['model']}"
        found |= {(about, what, row["model"]): text for what, text in _texts(row, ("model", "for"))}
    for budget, row in zip(catalogue.budgets, meaning["budgets"], strict=True):
        kind = "money" if budget.counts_money else "tokens"
        found[row["for"], f"budget of {kind} a {budget.per}", None] = most_of(budget, catalogue.currency)
    for name in ("retries", "breaker"):
        found |= {("all", f"[{name}] {what}", None): text for what, text in _texts(meaning[name], ())}
    found["all", "time zone", None] = meaning["time_zone"]
    found["all", "currency", None] = meaning["currency"]
    return found


def _texts(row: Row, without: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name, value in row.items():
        if name not in without and value is not None and value != []:
            yield name, text_of(value)


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    if isinstance(value, dict):
        if "server" in value:
            return server_text(value)
        return ", ".join(f"{name} {text_of(one)}" for name, one in value.items())
    return str(value)


def server_text(row: Row, usual: str = "") -> str:
    """Such as `spare (other-name) x 2`. *usual*: the name of the model that is not repeated."""
    model = f" ({row['model']})" if row["model"] != usual else ""
    return f"{row['server']}{model}" + (f" x {row['weight']}" if row["weight"] != 1 else "")
