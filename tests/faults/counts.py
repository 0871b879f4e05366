"""Whether the log holds as many refusals of each kind as its callers were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.api.error_bodies import STATUS

from .spoken import Answer

REFUSED = ("request.refused", "ask.refused")
SUMMED = "request.refused_summary"
UNANSWERED = frozenset({"client_gone", "answer_unread"})
SAME = {422: 400, 431: 413}
"""One code, two statuses: a summary names only the code."""


class Counts:
    """What callers were answered. Failed questions are left out: each has a record of its own, by its request."""

    def __init__(self) -> None:
        self.refused: Counter[int] = Counter()
        self._statuses: Counter[int] = Counter()
        self.silent = 0
        """Connections without an answer."""
        self._ids: dict[bytes, int] = {}

    def add(self, answers: Sequence[Answer]) -> None:
        """Raises AssertionError for an answer that should not be."""
        for one in answers:
            one.verify()
            self._statuses[one.status] += 1
        final = [one for one in answers if one.status >= 200]
        self.silent += not final
        for one in final:
            if one.status >= 400:
                self.refused[SAME.get(one.status, one.status)] += 1
                self._ids[one.headers[b"x-request-id"]] = one.status

    def verify(self, records: Iterable[Mapping[str, Any]], at_most_more: int | None = None) -> None:
        """Raises AssertionError unless the log has them all, and at most so many more: those whose answers were not awaited."""
        logged, more = Counter[int](), self.silent if at_most_more is None else at_most_more
        told = Counter(self.refused)
        for record in records:
            details = record["details"]
            if details.get("code") in UNANSWERED:
                continue
            if record["action"] in REFUSED:
                logged[SAME.get(details["status"], details["status"])] += 1
            elif record["action"] == SUMMED:
                for code, number in details["codes"].items():
                    if code not in UNANSWERED:
                        status = STATUS.get(code, 401)  # the others are reasons why a token is none
                        logged[SAME.get(status, status)] += number
            elif record["action"] == "ask.failed" and record["request_id"].encode() in self._ids:
                status = self._ids.pop(record["request_id"].encode())
                told[SAME.get(status, status)] -= 1
        self.logged = logged
        missing = told - logged
        assert not missing, f"not in the log: {dict(missing)}"
        assert (logged - told).total() <= more, f"in the log, and not answered: {dict(logged - told)}, {more} allowed"

    def told(self) -> str:
        return f"{self.refused.total():,} refusals told, {self.logged.total():,} in the log, {self.silent:,} connections silent"

    def told_statuses(self) -> str:
        return ", ".join(f"{status}: {number:,}" for status, number in sorted(self._statuses.items()))
