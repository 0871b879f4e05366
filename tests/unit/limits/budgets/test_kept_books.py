"""What a store keeps of the books is what it gives back."""

from __future__ import annotations

from collections import Counter

from app.limits.budgets.books import Books
from app.limits.budgets.kept_books import books_of_rows, rows_of_books
from app.limits.budgets.reservations import MOST_AMOUNT, Pot

from ....support.budgets import REQUEST, budget, reservation

MONEY, OTHER = Pot("all/day/money", "2026-11-26"), Pot("all/day/tokens", "2026-11-26")


def test_books_come_back_as_they_were_kept() -> None:
    books = Books(spent=Counter({MONEY: 7, OTHER: -3}), added=Counter({MONEY: 5}))
    books.add(4, "ask.received", REQUEST, {"reserved": reservation(budget(money=10**9), budget(tokens=400)).members()})
    assert len(books.open[4].amounts) == 2
    assert books_of_rows(rows_of_books(books)) == books


def test_a_pot_without_an_amount_is_none_and_no_sum_is_too_large_to_keep() -> None:
    kept = rows_of_books(Books(spent=Counter({MONEY: 0, OTHER: 2 * MOST_AMOUNT})))
    assert sorted(kept.pots) == [(*MONEY, 0, 0), (*OTHER, MOST_AMOUNT, 0)]
    assert books_of_rows(kept).spent == {OTHER: MOST_AMOUNT}
