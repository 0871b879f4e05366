"""What the log must show for what the askers were told."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from app.security.audit.chain import check, split_lines
from app.security.audit.entry import EMPTY, Head, Receipt
from app.security.audit.jsonl import JsonlStore

from .load import Outcome


class Evidence:
    """Reads a log as it grows: each `read` checks what was added since the last, and that every new receipt holds."""

    def __init__(self, store: JsonlStore) -> None:
        self._store = store
        self._head: Head = EMPTY
        self.records: list[dict[str, Any]] = []

    def read(self, told: Iterable[Outcome] = ()) -> None:
        """*told*: what was told before now, and not in an earlier call. Raises AssertionError for anything amiss."""
        told = list(told)
        data = b"".join(self._store.chunks(self._store.size(), self._head.size))
        lines = list(split_lines([data]))
        if lines:
            verdict = check(lines, start=self._head)
            assert verdict.ok, verdict.problems
            assert verdict.head is not None
            self._head = Head(self._head.size + len(data), verdict.head.seq, verdict.head.hash)
            self.records += [json.loads(line) for line in lines]
        for one in told:
            if one.status == 200:
                self._check_answer(one)

    def _check_answer(self, one: Outcome) -> None:
        assert one.seq < len(self.records), f"acknowledged, but not in the log: {one}"
        answered = self.records[one.seq]
        received = self.records[answered["details"]["received"]]
        assert (answered["seq"], answered["hash"], answered["action"]) == (one.seq, one.hash, "ask.answered"), one
        assert (received["action"], received["details"]["query"]) == ("ask.received", one.query), one
        assert answered["request_id"] == received["request_id"] == one.request_id, one

    def check_each_once(self) -> None:
        """No question was written down twice, none closed twice."""
        received = Counter(one["details"]["query"] for one in self.by("ask.received"))
        closed = Counter(one["details"]["received"] for one in [*self.by("ask.answered"), *self.by("ask.failed")])
        assert all(times == 1 for times in [*received.values(), *closed.values()])

    def check_calls(self, bodies: Iterable[str]) -> None:
        """Every body that the upstream saw (SHA-256) has an `ask.received` of its own."""
        unrecorded = Counter(bodies) - Counter(one["details"]["upstream_sha256"] for one in self.by("ask.received"))
        assert not unrecorded, f"calls that nobody wrote down: {unrecorded}"

    def by(self, action: str) -> list[dict[str, Any]]:
        return [one for one in self.records if one["action"] == action]

    @property
    def left_open(self) -> int:
        """Questions without an end: what a crash, or a disk that filled in between, may leave."""
        return len(self.by("ask.received")) - len(self.by("ask.answered")) - len(self.by("ask.failed"))

    def receipts(self, told: Iterable[Outcome]) -> list[Receipt]:
        return [Receipt(one.seq, one.hash) for one in told if one.status == 200]
