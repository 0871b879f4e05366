"""What the log must show for cut streams: one terminal record per question, covering every byte that was delivered."""

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
    """The records of one service by request name. Raises AssertionError if any of them is wrong."""

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
                assert name not in self.received, f"{name} was recorded twice"
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
        assert not set(self.ends) - seqs, "a terminal record without its question"

    def open(self, names: set[str] | None = None) -> set[int]:
        """The `seq` of each question without a terminal record, of all questions or of *names*."""
        asked = self.received if names is None else self.received.keys() & names
        return {self.received[name]["seq"] for name in asked} - set(self.ends)

    def check(self, caller: Caller) -> tuple[str, Record | None]:
        """How the stream ended, and its terminal record."""
        name = caller.plan.name
        received, refused = self.received.get(name), self.refused.get(name)
        if received is None:
            return self._check_never_asked(caller, refused), refused
        end = self.ends.get(received["seq"])
        also = self.refused_by_id.get(received["request_id"])
        assert end is not None, f"{caller.plan} has no terminal record; besides its ask.received there is {also}"
        assert also is None, f"{caller.plan} has a third record: {also}"
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
        """The caller left before the question was read."""
        assert caller.raw == b"", f"answered without a record: {caller.plan}, {caller.raw!r}"
        if refused is None:
            assert caller.plan.way == "reset", f"no record of {caller.plan}"
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
        assert receipt is None, f"the end was received before the rest: {caller.plan}"
    assert receipt in (None, {"seq": end["seq"], "hash": end["hash"]}), f"{caller.plan}: {receipt}, {end}"


def _check_gone(caller: Caller, delivered: Record | None) -> None:
    given, words = caller.given(), caller.words()
    assert caller.receipt() is None, f"a receipt although the caller had disconnected: {caller.plan}"
    if delivered is None:
        assert given == b"", f"{caller.plan}: {len(given)} bytes were received that the record does not show"
        return
    assert len(given) <= delivered["bytes"], f"{caller.plan}: {len(given)} bytes were received, {delivered}"
    if len(given) == delivered["bytes"]:
        assert hashlib.sha256(given).hexdigest() == delivered["sha256"], caller.plan
    answer = delivered["answer"] or ""
    if isinstance(answer, dict):
        assert is_text(answer, caller.text[: answer["bytes"]]), caller.plan
        assert len(words) <= answer["bytes"], caller.plan
        return
    assert caller.text.startswith(answer), f"{caller.plan}: {answer!r} is not a prefix of the answer"
    assert answer.startswith(words), f"{caller.plan}: received {words!r}, recorded {answer!r}"


def is_text(recorded: Any, text: str) -> bool:
    """Whether a record holds *text*, or the digest of a long text."""
    data = text.encode()
    return bool(recorded in (text, {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}))


def moment_of(record: Record) -> float:
    """Seconds since 1970."""
    return datetime.fromisoformat(record["timestamp"]).timestamp()
