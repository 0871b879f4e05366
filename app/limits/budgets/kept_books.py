"""The books as the rows that a store keeps of them, whatever its tables are called."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from .batch import bounded
from .books import Books, OpenQuestion, amounts_of
from .reservations import Pot


class KeptBooks(NamedTuple):
    pots: Sequence[tuple[str, str, int, int]]
    """Budget, period, what the log says was spent of it and added to it."""
    questions: Sequence[tuple[int, str, str]]
    """The number of `ask.received`, the id of its request, `reserved` as JSON."""


def rows_of_books(books: Books) -> KeptBooks:
    pots = [(*pot, bounded(books.spent[pot]), bounded(books.added[pot])) for pot in {*books.spent, *books.added}]
    return KeptBooks(pots, [(received, one.request_id, json.dumps(one.reserved)) for received, one in books.open.items()])


def books_of_rows(kept: KeptBooks) -> Books:
    """As `rows_of_books` was given them. An amount of 0 is none."""
    pots = [(Pot(budget, period), spent, added) for budget, period, spent, added in kept.pots]
    books = Books(
        Counter({pot: spent for pot, spent, _ in pots if spent}), Counter({pot: added for pot, _, added in pots if added})
    )
    for received, request_id, text in kept.questions:
        reserved = json.loads(text)
        books.open[received] = OpenQuestion(request_id, amounts_of(reserved), reserved)
    return books
