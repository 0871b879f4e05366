"""What the log must show for streams that were cut: one end for each question, and nothing got through that it does not tell."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from .cut_client import Caller

Record = dict[str, Any]
TERMINAL = ("ask.answered", "ask.failed")


class CutRecords:
    """The records of one service, found by who asked. Raises AssertionError for anything amiss."""

    def __init__(self, records: Iterable[Record]) -> None:
        self.received: dict[str, Record] = {}
        self.ends: dict[int, Record] = {}
        self.refused: dict[str, Record] = {}
        self.refused_by_id: dict[str, Record] = {}
        self.others: Counter[str] = Counter()
        for record in records:
            details, action = record["details"], record["action"]
            name = details.get("client_request_id")
            if action == "ask.received" and name:
                assert name not in self.received, f"{name} was written down twice"
                self.received[name] = record
            elif action in TERMINAL:
                assert details["received"] not in self.ends, f"ended twice: {record}"
                self.ends[details["received"]] = record
            elif action in ("request.refused", "ask.refused"):
                assert name not in self.refused, f"refused twice: {record}"
                self.refused[name] = self.refused_by_id[record["request_id"]] = record
            else:
                self.others[action] += 1
        seqs = {record["seq"] for record in self.received.values()}
        assert not set(self.ends) - seqs, "an end of a question that nobody asked"

    def open(self, names: set[str] | None = None) -> set[int]:
        """The questions without an end: of all, or of *names*."""
        asked = self.received if names is None else self.received.keys() & names
        return {self.received[name]["seq"] for name in asked} - set(self.ends)

    def check(self, caller: Caller) -> tuple[str, Record | None]:
        """How the stream ended, for the count, and its last record."""
        name = caller.plan.name
        received, refused = self.received.get(name), self.refused.get(name)
        if received is None:
            return self._check_never_asked(caller, refused), refused
        end = self.ends.get(received["seq"])
        also = self.refused_by_id.get(received["request_id"])
        assert end is not None, f"{caller.plan} stands open; besides its ask.received there is {also}"
        assert also is None, f"{caller.plan} has its two records, and {also}"
        assert (end["request_id"], end["user_id"]) == (received["request_id"], received["user_id"]), end
        if caller.head_came:
            assert caller.header("x-request-id") == received["request_id"], name
            assert caller.header("x-audit-seq") == str(received["seq"]), name
            assert caller.header("x-audit-hash") == received["hash"], name
        if end["action"] == "ask.answered":
            _check_answered(caller, end)
            return "answered", end
        assert end["details"]["code"] == "client_gone", f"{caller.plan} ended as {end}"
        _check_gone(caller, end["details"]["delivered"])
        return "client gone", end

    def _check_never_asked(self, caller: Caller, refused: Record | None) -> str:
        """He left before his question was read."""
        assert caller.raw == b"", f"answered without a record: {caller.plan}, {caller.raw!r}"
        if refused is None:
            assert caller.plan.way == "reset", f"not a trace of {caller.plan}"
            return "never seen"
        assert refused["details"]["code"] == "client_gone", refused
        return "not read"


def _check_answered(caller: Caller, end: Record) -> None:
    details, given = end["details"], caller.given()
    assert is_text(details["answer"], caller.text), f"{caller.plan}: {details['answer']!r}"
    delivered = details["delivered"]
    before = given[: delivered["bytes"]]
    if len(before) == delivered["bytes"]:
        assert hashlib.sha256(before).hexdigest() == delivered["sha256"], caller.plan
    receipt = caller.receipt()
    if len(before) < delivered["bytes"]:
        assert receipt is None, f"the end came before the rest: {caller.plan}"
    assert receipt in (None, {"seq": end["seq"], "hash": end["hash"]}), f"{caller.plan}: {receipt}, {end}"


def _check_gone(caller: Caller, delivered: Record | None) -> None:
    given, words = caller.given(), caller.words()
    assert caller.receipt() is None, f"a receipt, though he was gone: {caller.plan}"
    if delivered is None:
        assert given == b"", f"{caller.plan}: {len(given)} bytes got through that the record does not tell"
        return
    assert len(given) <= delivered["bytes"], f"{caller.plan}: {len(given)} bytes got through, {delivered}"
    if len(given) == delivered["bytes"]:
        assert hashlib.sha256(given).hexdigest() == delivered["sha256"], caller.plan
    answer = delivered["answer"] or ""
    if isinstance(answer, dict):
        assert is_text(answer, caller.text[: answer["bytes"]]), caller.plan
        assert len(words) <= answer["bytes"], caller.plan
        return
    assert caller.text.startswith(answer), f"{caller.plan}: {answer!r} is no beginning of the answer"
    assert answer.startswith(words), f"{caller.plan}: he has {words!r}, and the record says {answer!r}"


def is_text(recorded: Any, text: str) -> bool:
    """Whether a record holds *text*, or its digest if that is too long."""
    data = text.encode()
    return bool(recorded in (text, {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}))


def moment_of(record: Record) -> float:
    """Seconds since 1970."""
    return datetime.fromisoformat(record["timestamp"]).timestamp()
