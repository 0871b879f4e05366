"""The books: what every budget has spent, computed from the records of the log and nothing else.

A question is open from its `ask.received` until the first record that ends or settles it. The order
of records does not matter otherwise: all that is added to a pot is a sum.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...catalogue.budgets import Budget
from ...catalogue.prices import PART_OF, TOKEN_PRICES, Price, amount_of, cost
from .reservations import MOST_AMOUNT, TOKENS, Pot, Tokens, shown

RECEIVED, ATTEMPTED = "ask.received", "ask.attempted"
SETTLED, RELEASED, ADDED, RESET = "budget.settled", "budget.released", "budget.added", "budget.reset"
ENDS = frozenset({"ask.answered", "ask.failed", SETTLED, RELEASED})
OF_BUDGETS = (b'"reserved":[', b'"spent":[', b'"action":"budget.')
"""A line that holds none of these says nothing of budgets. Text in a record cannot imitate them."""
_MOST_MONEY = MOST_AMOUNT // 10**9


def concerns_budgets(line: bytes) -> bool:
    """Whether the stored *line* may matter here: few do where few questions have a budget."""
    return any(mark in line for mark in OF_BUDGETS)


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A question that has reserved and has no end yet."""

    request_id: str
    amounts: Mapping[Pot, int]
    reserved: list[dict[str, Any]]
    """As the records hold it."""


@dataclass(slots=True)
class Books:
    """Feed it the records in their order. Amounts as in `reservations.py`."""

    spent: Counter[Pot] = field(default_factory=Counter)
    added: Counter[Pot] = field(default_factory=Counter)
    open: dict[int, OpenQuestion] = field(default_factory=dict)
    """By the number of their `ask.received`."""
    problems: list[str] = field(default_factory=list)
    """Records whose own numbers do not agree."""
    is_audit: bool = False
    """Whether each amount is computed from its tokens once more."""

    def add(self, seq: int, action: str, request_id: str, details: Mapping[str, Any]) -> None:
        """Take one record. What this service cannot have written is a problem, never an error."""
        try:
            self._add(seq, action, request_id, details)
        except (KeyError, TypeError, ValueError):
            self.problems.append(f"record {seq} ({action}): its amounts cannot be read")

    def reserved(self) -> Counter[Pot]:
        """What all open questions have reserved together."""
        total = Counter[Pot]()
        for question in self.open.values():
            total.update(question.amounts)
        return total

    def _add(self, seq: int, action: str, request_id: str, details: Mapping[str, Any]) -> None:
        if action == RECEIVED:
            if reserved := details.get("reserved"):
                self.open[seq] = OpenQuestion(request_id, amounts_of(reserved), list(reserved))
        elif action == ATTEMPTED:
            if more := details.get("reserved"):
                before = self.open.get(details["received"], OpenQuestion(request_id, {}, []))
                both = sum_of(before.amounts, amounts_of(more))
                self.open[details["received"]] = OpenQuestion(request_id, both, [*before.reserved, *more])
        elif action in ENDS:
            self._end(seq, action, request_id, details)
        elif action == ADDED:
            self.added[_pot(details)] += _amount(details)
        elif action == RESET:
            self.spent[_pot(details)] -= _amount(details)

    def _end(self, seq: int, action: str, request_id: str, details: Mapping[str, Any]) -> None:
        if action == RELEASED and "received" not in details:  # a record that was late may have come before this one
            self.open = {one: question for one, question in self.open.items() if question.request_id != request_id}
            return
        question = self.open.pop(details.get("received", -1), None)
        if question is None:
            return  # it has reserved nothing, or has its end already
        if action == RELEASED:
            return
        spent = details.get("spent")
        if spent is None:
            self.problems.append(f"record {seq} ({action}): says nothing of what was spent; the reservation is counted")
            self._spend(question.amounts)
            return
        self._spend(amounts_of(spent))
        for entry in spent if self.is_audit else ():
            if (problem := _disagreement(entry, question)) is not None:
                self.problems.append(f"record {seq} ({action}): {problem}")

    def _spend(self, amounts: Mapping[Pot, int]) -> None:
        for pot, amount in amounts.items():
            self.spent[pot] += amount


def amounts_of(entries: Iterable[Mapping[str, Any]]) -> dict[Pot, int]:
    """The amounts of `reserved` or `spent`, by pot. Raises KeyError, TypeError, ValueError."""
    total: dict[Pot, int] = {}
    for entry in entries:
        pot = _pot(entry)
        total[pot] = total.get(pot, 0) + _amount(entry)
    return total


def sum_of(one: Mapping[Pot, int], other: Mapping[Pot, int]) -> Counter[Pot]:
    total = Counter(one)
    total.update(other)
    return total


def added_details(budget: Budget, period: str, amount: int, unit: str) -> dict[str, Any]:
    """What `budget.added` and `budget.reset` hold."""
    return {"id": budget.id, "period": period, "unit": unit, "amount": shown(amount, budget.counts_money)}


def _pot(entry: Mapping[str, Any]) -> Pot:
    return Pot(str(entry["id"]), str(entry["period"]))


def _amount(entry: Mapping[str, Any]) -> int:
    amount = entry["amount"]
    if entry["unit"] == TOKENS:
        if type(amount) is not int:
            raise TypeError
        return amount
    if not isinstance(amount, str):
        raise TypeError
    return -_money(amount[1:]) if amount.startswith("-") else _money(amount)


def _money(text: str) -> int:
    return amount_of(text, _MOST_MONEY)


def _disagreement(entry: Mapping[str, Any], question: OpenQuestion) -> str | None:
    """Why *entry* of `spent` is not what its own tokens, and the prices reserved with, come to."""
    alike = [one for one in question.reserved if one["id"] == entry["id"] and one["period"] == entry["period"]]
    by, amount = entry.get("by"), _amount(entry)
    if by == "nothing":
        return None if amount == 0 else f"{entry['id']} spends where nothing was generated"
    if not alike:
        return f"{entry['id']} spends, and had reserved nothing"
    if by == "reservation":
        return None if any(amount == _amount(one) for one in alike) else f"{entry['id']} does not spend what was reserved"
    told = Tokens(**{_TOKENS[name]: count for name, count in entry["tokens"].items()})
    wanted = {_cost_of(told, one) for one in alike}
    return None if amount in wanted else f"{entry['id']} does not spend what its tokens cost"


_TOKENS = {"input": "input", "output": "output", "cached_input": "cached", "cache_write": "written", "reasoning": "reasoning"}


def _cost_of(told: Tokens, reserved: Mapping[str, Any]) -> int:
    if reserved["unit"] == TOKENS:
        return told.input + told.output
    prices = dict(reserved["prices"])
    per_call = {name: _money(text) for name, text in prices.pop("per_call", {}).items()}
    each = {name: _money(prices.get(name) or prices[PART_OF[name]]) for name in TOKEN_PRICES}
    price = Price(**each, per_call=per_call)
    parts = {"cached_tokens": told.cached, "written_tokens": told.written, "reasoning_tokens": told.reasoning}
    return min(MOST_AMOUNT, cost(price, told.input, told.output, **parts, calls=reserved["tokens"].get("calls", {})))
