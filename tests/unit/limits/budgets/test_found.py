"""What the log holds of a request decides how its reservations end."""

from __future__ import annotations

from app.limits.budgets.books import OpenQuestion, amounts_of
from app.limits.budgets.found import (
    Found,
    amounts_for,
    as_reserved,
    by_request,
    key_of,
    note,
    request_of,
    rows_of,
    settlement,
    shown_rows,
)
from app.limits.budgets.reservations import Pot, Tokens
from app.limits.budgets.store import NO_OWNER, OpenRow

from ....support.budgets import DAY, REQUEST, budget, reservation, spent_members

MONEY, TOKENS = budget(money=10**9), budget(tokens=1000)
ONE = reservation(MONEY, TOKENS)
POTS = [share.pot for share in ONE.shares]
BOTH = [*ONE.members(), *({**entry, "attempt": 2} for entry in ONE.members())]


def test_the_key_of_an_attempt_names_its_request() -> None:
    assert [key_of(REQUEST, attempt) for attempt in (1, 2)] == [REQUEST, f"{REQUEST}:2"]
    assert {request_of(key_of(REQUEST, attempt)) for attempt in (1, 2)} == {REQUEST}


def test_the_first_end_of_a_request_counts() -> None:
    found, spent = Found(), spent_members(ONE, "usage", Tokens(1, 1))
    note(found, 4, "ask.received", {"reserved": ONE.members()})
    note(found, 5, "ask.attempted", {"received": 4, "reserved": BOTH[2:]})
    assert (found.received, found.reserved, found.has_end) == (4, BOTH, False)
    note(found, 6, "ask.answered", {"spent": spent})
    note(found, 7, "budget.settled", {"spent": []})
    assert (found.has_end, found.spent) == (True, spent)


def test_an_end_that_spent_nothing_says_so() -> None:
    found = Found()
    note(found, 4, "ask.received", {"reserved": ONE.members()})
    note(found, 5, "ask.failed", {"received": 4, "spent": []})
    assert found.spent == []


def test_an_end_that_says_nothing_spends_what_was_reserved() -> None:
    for action, spent in (("ask.failed", ONE.members()), ("budget.released", [])):
        found = Found()
        note(found, 4, "ask.received", {"reserved": ONE.members()})
        note(found, 5, action, {})
        assert found.spent == spent


def test_an_attempt_may_be_the_first_to_reserve() -> None:
    found = Found()
    note(found, 5, "ask.attempted", {"received": 4, "reserved": ONE.members()})
    assert (found.received, found.reserved) == (4, ONE.members())


def test_each_attempt_has_its_own_amounts() -> None:
    for key in (REQUEST, f"{REQUEST}:2"):
        assert amounts_for(key, BOTH) == {POTS[0]: 200_000, POTS[1]: 150}
    question = OpenQuestion(REQUEST, amounts_of(BOTH), BOTH)
    assert sorted(row.key for row in rows_of(question)) == [REQUEST, f"{REQUEST}:2"]
    assert {row.owner for row in rows_of(question)} == {NO_OWNER}


def test_what_is_settled_at_its_reservation_says_so_and_names_the_attempt() -> None:
    first, *_, last = as_reserved(BOTH)
    assert first == {"id": MONEY.id, "period": DAY, "unit": "USD", "by": "reservation", "amount": "0.0002"}
    assert last == {"id": TOKENS.id, "period": DAY, "unit": "tokens", "attempt": 2, "by": "reservation", "amount": 150}


def test_rows_are_gathered_shown_and_settled() -> None:
    row = OpenRow(f"{REQUEST}:2", 5, 0, {POTS[0]: 200_000, POTS[1]: 150})
    assert by_request([row]) == {REQUEST: [row]}
    assert [one["amount"] for one in shown_rows([row])] == ["0.0002", 150]
    step = settlement(row, {POTS[1]: 7})
    assert (step.key, step.spent) == (row.key, (0, 7))
    assert [share.pot for share in step.shares] == POTS
    assert Pot(MONEY.id, DAY) == POTS[0]
