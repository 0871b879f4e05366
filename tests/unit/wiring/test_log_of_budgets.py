"""What budgets read and write of a real log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from app.audit.log import AuditLog
from app.limits.budgets.store import LogPlace, StoreFailed
from app.wiring.log_of_budgets import LogOfBudgets

from ...support.stores import open_store

SPENT: dict[str, Any] = {"received": 1, "spent": []}


def written(path: Path) -> LogOfBudgets:
    """A log with the records 0 (opened), 1 (not of budgets), 2 (an answer that spent nothing)."""
    store = open_store(path)
    log = AuditLog(store)
    log.create({})

    async def write() -> None:
        async with log:
            await log.record("token.issued", user_id="alice", details={"jti": "j"})
            await log.record("ask.answered", user_id="alice", details=SPENT, request_id="a" * 32)

    asyncio.run(write())
    return LogOfBudgets(store, log)


def test_only_records_that_concern_budgets_are_read(tmp_path: Path) -> None:
    found: list[tuple[int, str, str, Mapping[str, Any]]] = []
    written(tmp_path / "log.jsonl").read(0, lambda *record: found.append(record))
    assert found == [(2, "ask.answered", "a" * 32, SPENT)]


def test_the_log_holds_its_own_end_and_the_beginning_and_nothing_else(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl")
    end = log.end()
    assert (end.seq, end.size) == (2, (tmp_path / "log.jsonl").stat().st_size)
    assert log.holds(end)
    assert log.holds(LogPlace(-1, 0, ""))
    others = [
        end._replace(hash="0" * 64),
        end._replace(seq=1),
        end._replace(size=end.size - 5),
        end._replace(size=end.size + 500),
    ]
    assert not any(map(log.holds, others))


def test_a_line_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl")
    with (tmp_path / "log.jsonl").open("ab") as file:
        file.write(b'{"v":1,"seq":3,"details":{"spent":[')
    found: list[int] = []
    log.read(0, lambda seq, *_: found.append(seq))
    assert found == [2]


def test_a_log_that_is_gone_is_a_failure_that_can_pass(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl")
    (tmp_path / "log.jsonl").unlink()
    with pytest.raises(StoreFailed):
        log.read(0, lambda *_: None)
