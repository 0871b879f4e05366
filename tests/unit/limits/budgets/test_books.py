"""The books are computed from records alone, and find the records whose own numbers do not agree."""

from __future__ import annotations

from typing import Any

import pytest

from app.catalogue.prices import BILLION
from app.limits.budgets.books import Books, concerns_budgets
from app.limits.budgets.reservations import Pot, Tokens

from ....support.budgets import DAY, REQUEST, budget, reservation, spent_members

MONEY, TOKENS = budget(money=BILLION), budget(tokens=1000)
MONEY_POT, TOKENS_POT = Pot(MONEY.id, DAY), Pot(TOKENS.id, DAY)
ONE = reservation(MONEY, TOKENS)


def books(*records: tuple[str, dict[str, Any]]) -> Books:
    """Of records with the numbers 0, 1, …"""
    found = Books(is_audit=True)
    for seq, (action, details) in enumerate(records):
        found.add(seq, action, REQUEST, details)
    return found


RECEIVED = ("ask.received", {"reserved": ONE.members()})


def test_a_question_is_open_until_its_end_and_then_has_spent_what_it_used() -> None:
    assert books(RECEIVED).reserved() == {MONEY_POT: 200_000, TOKENS_POT: 150}
    ended = books(RECEIVED, ("ask.answered", {"received": 0, "spent": spent_members(ONE, "usage", Tokens(80, 20))}))
    assert (ended.open, ended.spent, ended.problems) == ({}, {MONEY_POT: 120_000, TOKENS_POT: 100}, [])


@pytest.mark.parametrize("action", ["ask.failed", "budget.settled"])
def test_a_failure_and_a_settlement_after_a_crash_spend_what_they_say(action: str) -> None:
    ended = books(RECEIVED, (action, {"received": 0, "spent": spent_members(ONE, "reservation")}))
    assert (ended.spent, ended.problems) == ({MONEY_POT: 200_000, TOKENS_POT: 150}, [])


def test_what_was_released_is_not_spent() -> None:
    assert books(RECEIVED, ("budget.released", {"received": 0, "why": "nothing was sent"})).spent == {}
    nothing = books(RECEIVED, ("ask.failed", {"received": 0, "spent": spent_members(ONE, "nothing")}))
    assert (nothing.spent.total(), nothing.problems) == (0, [])


def test_only_the_first_end_counts() -> None:
    spent = {"received": 0, "spent": spent_members(ONE, "reservation")}
    assert books(RECEIVED, ("ask.answered", spent), ("budget.settled", spent)).spent[TOKENS_POT] == 150


def test_a_fallback_may_be_the_first_with_a_budget() -> None:
    attempted = ("ask.attempted", {"received": 0, "reserved": ONE.members()})
    assert books(("ask.received", {}), attempted).reserved()[TOKENS_POT] == 150
    ended = books(
        ("ask.received", {}), attempted, ("ask.answered", {"received": 0, "spent": spent_members(ONE, "usage", Tokens(1, 1))})
    )
    assert (ended.open, ended.spent[TOKENS_POT], ended.problems) == ({}, 2, [])


def test_a_further_attempt_reserves_besides() -> None:
    more = [{**one, "attempt": 2} for one in ONE.members()]
    both = books(RECEIVED, ("ask.attempted", {"received": 0, "reserved": more}))
    assert both.reserved()[TOKENS_POT] == 300
    spent = [*spent_members(ONE, "reservation"), *spent_members(ONE, "usage", Tokens(1, 1))]
    ended = books(
        RECEIVED, ("ask.attempted", {"received": 0, "reserved": more}), ("ask.answered", {"received": 0, "spent": spent})
    )
    assert (ended.spent[TOKENS_POT], ended.problems) == (152, [])


def test_the_first_reservation_of_a_question_may_be_that_of_a_fallback() -> None:
    first: list[tuple[str, dict[str, Any]]] = [
        ("ask.received", {"query": "hi"}),
        ("ask.attempted", {"received": 0, "reserved": ONE.members()}),
    ]
    assert books(*first).reserved()[TOKENS_POT] == 150
    ended = books(*first, ("ask.answered", {"received": 0, "spent": spent_members(ONE, "usage", Tokens(1, 1))}))
    assert (ended.spent[TOKENS_POT], ended.open, ended.problems) == (2, {}, [])


def test_what_an_operator_adds_and_resets_are_sums() -> None:
    change = {"id": MONEY.id, "period": DAY, "unit": "USD", "amount": "0.5"}
    changed = books(("budget.added", change), ("budget.added", change), ("budget.reset", change))
    assert (changed.added[MONEY_POT], changed.spent[MONEY_POT]) == (BILLION, -BILLION // 2)


def test_questions_without_a_budget_are_passed_over() -> None:
    none = books(("ask.received", {"query": "hi"}), ("ask.answered", {"received": 0, "usage": None}))
    assert (none.open, none.spent, none.problems) == ({}, {}, [])


SPENT = spent_members(ONE, "usage", Tokens(80, 20))
WRONG = {
    "less than its tokens cost": [{**SPENT[0], "amount": "0.00001"}, SPENT[1]],
    "other tokens": [SPENT[0], {**SPENT[1], "amount": 99}],
    "less than was reserved": [{**SPENT[0], "by": "reservation"}, SPENT[1]],
    "something for nothing": [{**SPENT[0], "by": "nothing"}, SPENT[1]],
    "of a budget that had reserved nothing": [{**SPENT[0], "id": "all/day/money"}, SPENT[1]],
    "a float": [{**SPENT[0], "amount": 0.00012}, SPENT[1]],
}


@pytest.mark.parametrize("spent", WRONG.values(), ids=WRONG)
def test_a_record_whose_numbers_do_not_agree_is_a_problem(spent: list[dict[str, Any]]) -> None:
    assert len(books(RECEIVED, ("ask.answered", {"received": 0, "spent": spent})).problems) == 1


def test_an_end_that_says_nothing_counts_the_reservation_and_is_a_problem() -> None:
    silent = books(RECEIVED, ("ask.answered", {"received": 0}))
    assert (silent.spent[TOKENS_POT], len(silent.problems)) == (150, 1)


def test_a_line_is_looked_at_if_it_has_a_member_of_ours() -> None:
    assert concerns_budgets(b'{"action":"ask.answered","details":{"spent":[]}}')
    assert concerns_budgets(b'{"action":"budget.reset"}')
    assert not concerns_budgets(b'{"details":{"query":"\\"spent\\":[ \\"reserved\\":["}}')
