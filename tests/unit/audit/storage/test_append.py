"""A batch of drafts at the end of a log, after the records of what was recovered."""

from __future__ import annotations

import json

import pytest

from app.audit.format.record import EMPTY, LogEnd, draft
from app.audit.storage.append import append
from app.audit.storage.store import Batch, Build, Recovery, recovered_draft
from app.errors import AuditUnavailable

from ....support.stored_log import STAMP

RECOVERIES = (Recovery(5, "ab" * 32, "log.torn-after-1.x.jsonl"), Recovery(7, "cd" * 32, "log.torn-after-2.x.jsonl"))


class Store:
    """Calls *build* as a store would."""

    def __init__(self, end: LogEnd = EMPTY, recovered: tuple[Recovery, ...] = ()) -> None:
        self._end, self._recovered = end, recovered
        self.batch = Batch(b"", end)

    def write(self, build: Build) -> None:
        self.batch = build(self._end, self._recovered)

    def records(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.batch.data.splitlines()]


def test_each_draft_has_a_receipt_and_the_batch_knows_its_end() -> None:
    store = Store()
    receipts = append(store.write, [draft("log.alive", None, {"n": n}) for n in range(3)], lambda: STAMP)
    assert [one.seq for one in receipts] == [0, 1, 2]
    assert [one["hash"] for one in store.records()] == [one.hash for one in receipts]
    assert store.batch.end == LogEnd(len(store.batch.data), 2, receipts[-1].hash)
    assert {one["timestamp"] for one in store.records()} == {STAMP}


def test_recoveries_are_recorded_first_and_have_no_receipt() -> None:
    store = Store(LogEnd(900, 4, "0" * 64), RECOVERIES)
    receipts = append(store.write, [draft("log.alive", None, {})], lambda: STAMP)
    assert [one.seq for one in receipts] == [7]
    assert [one["action"] for one in store.records()] == ["log.recovered", "log.recovered", "log.alive"]
    assert store.records()[0]["details"] == {"bytes": 5, "sha256": "ab" * 32, "kept_as": "log.torn-after-1.x.jsonl"}


def test_nothing_to_append_is_an_empty_batch_unless_there_is_a_recovery() -> None:
    sound, torn = Store(), Store(EMPTY, RECOVERIES[:1])
    assert append(sound.write, []) == append(torn.write, []) == []
    assert sound.batch == Batch(b"", EMPTY)
    assert len(torn.records()) == 1


def test_a_record_for_a_silent_log_is_left_out_once_another_has_come() -> None:
    end = LogEnd(900, 4, "0" * 64)
    last, behind = Store(end, RECOVERIES[:1]), Store(end, RECOVERIES[:1])
    assert [one.seq for one in append(last.write, [draft("log.alive", None, {})], after=4)] == [6]
    assert append(behind.write, [draft("log.alive", None, {})], after=3) == []
    assert [one["action"] for one in behind.records()] == ["log.recovered"], "what was recovered is recorded all the same"


def test_an_error_of_the_store_is_passed_on() -> None:
    def full(build: Build) -> None:
        raise AuditUnavailable("full")

    with pytest.raises(AuditUnavailable, match="full"):
        append(full, [])


def test_a_recovery_belongs_to_no_user() -> None:
    made = recovered_draft(RECOVERIES[0])
    assert (made.action, made.user_id) == ("log.recovered", None)
