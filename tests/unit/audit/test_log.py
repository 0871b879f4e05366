"""AuditLog: how a log begins, what is refused before it reaches the disk, and what can be read back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.record import EMPTY, MAX_LINE_BYTES
from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.errors import AuditCorrupt, AuditUnavailable

from ...support.checked import chain_report
from ...support.stored_log import records, stored
from ...support.stores import open_store

DETAILS = {"origin": "test", "vkey": "test+key"}


@pytest.fixture
def store(tmp_path: Path) -> JsonlStore:
    return open_store(tmp_path / "audit_log.jsonl")


@pytest.fixture
def log(store: JsonlStore) -> AuditLog:
    return AuditLog(store)


def recording(log: AuditLog, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), log:
            await work()

    asyncio.run(main())


def test_there_is_no_log_until_it_is_created(log: AuditLog, store: JsonlStore) -> None:
    assert (log.exists(), log.is_empty(), log.has_one_record()) == (False, True, False)
    store.path.touch()
    assert (log.exists(), log.is_empty(), log.has_one_record()) == (True, True, False)
    receipt = log.create(DETAILS)
    assert (log.exists(), log.is_empty(), log.has_one_record()) == (True, False, True)
    assert (receipt.seq, records(store)[0]["action"], log.first_details()) == (0, "log.opened", DETAILS)
    with pytest.raises(AuditCorrupt):
        log.create(DETAILS)


def test_another_log_begins_with_the_name_and_the_end_of_the_old_one(log: AuditLog, store: JsonlStore) -> None:
    first = log.create(DETAILS)
    size = log.size()
    log.begin_another({"origin": "second"})
    previous = log.first_details()["previous"]
    assert previous["head"] == {"seq": 0, "hash": first.hash, "size": size}
    assert store.path.with_name(previous["kept_as"]).stat().st_size == size


def test_another_log_may_begin_where_there_was_none(log: AuditLog) -> None:
    log.begin_another(DETAILS)
    assert log.first_details() == {**DETAILS, "previous": {"kept_as": None, "head": None}}
    assert log.has_one_record()


def test_a_record_is_durable_and_its_receipt_names_it(log: AuditLog, store: JsonlStore) -> None:
    log.create(DETAILS)

    async def work() -> None:
        receipt = await log.record("ask.received", user_id="alice", details={"query": "é"}, request_id="0f" * 16)
        made = records(store)[1]
        assert (made["seq"], made["hash"]) == receipt
        assert (made["user_id"], made["request_id"], made["details"]) == ("alice", "0f" * 16, {"query": "é"})
        end = store.durable()
        assert end is not None
        assert (end.size, end.seq, end.hash) == (store.path.stat().st_size, *receipt)
        assert not log.has_one_record()

    recording(log, work)


@pytest.mark.parametrize(
    "wrong",
    [{"action": "ask.unknown"}, {"user_id": "not one"}, {"request_id": "short"}, {"details": {"n": object()}}],
    ids=lambda one: next(iter(one)),
)
def test_what_can_never_be_a_record_raises_and_closes_nothing(log: AuditLog, wrong: dict[str, Any]) -> None:
    log.create(DETAILS)
    given: dict[str, Any] = {"action": "ask.received", "user_id": "alice", "details": {}, **wrong}

    async def work() -> None:
        with pytest.raises(ValueError):
            await log.record(given.pop("action"), **given)
        assert log.closed_because is None

    recording(log, work)
    assert chain_report(log).entries == 1


def test_details_of_any_size_fit_into_a_line(log: AuditLog, store: JsonlStore) -> None:
    log.create(DETAILS)

    async def work() -> None:
        receipt = await log.record("ask.received", user_id=None, details={"query": "x" * 10 * MAX_LINE_BYTES})
        assert chain_report(log, [receipt]).findings == []
        assert len(stored(store).splitlines()[1]) < MAX_LINE_BYTES
        assert records(store)[1]["details"]["query"]["bytes"] == 10 * MAX_LINE_BYTES

    recording(log, work)


def test_before_its_start_and_after_its_end_a_log_records_nothing(log: AuditLog, store: JsonlStore) -> None:
    log.create(DETAILS)

    async def record() -> None:
        await log.record("ask.received", user_id=None, details={})

    for _ in range(2):
        with pytest.raises(AuditUnavailable, match="not open"):
            asyncio.run(record())
        recording(log, record)
    assert chain_report(log).entries == 3


def test_a_machine_among_several_is_named_last_in_the_details(store: JsonlStore) -> None:
    log = AuditLog(store, node="node-1")
    log.create(DETAILS)

    async def work() -> None:
        await log.record("client.added", user_id=None, details={"client_id": "alice"})

    recording(log, work)
    assert list(records(store)[1]["details"].items()) == [("client_id", "alice"), ("node", "node-1")]


def test_lines_may_be_read_from_one_byte_to_another(log: AuditLog, store: JsonlStore) -> None:
    log.create(DETAILS)
    first = log.size()

    async def work() -> None:
        await log.record("ask.received", user_id=None, details={})

    recording(log, work)
    whole = list(log.lines())
    assert b"".join(whole) == stored(store)
    assert [*log.lines(end=first), *log.lines(start=first)] == whole
    assert list(log.lines(start=log.size())) == []


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"[]\n", b'{"details":[]}\n', b'{"seq":0}\n'])
def test_a_first_record_that_cannot_be_read_has_no_details(log: AuditLog, store: JsonlStore, content: bytes) -> None:
    store.path.write_bytes(content)
    assert log.first_details() == {}


def test_recovering_a_log_without_an_end_is_refused(log: AuditLog, store: JsonlStore) -> None:
    store.path.write_bytes(b"garbage\n")
    with pytest.raises(AuditCorrupt):
        log.recover()
    assert store.durable() in (None, EMPTY)


def test_a_log_that_is_not_at_its_path_is_not_in_place(log: AuditLog, store: JsonlStore) -> None:
    log.create(DETAILS)
    assert log.is_in_place()
    store.path.write_bytes(stored(store)[:-1])
    assert not log.is_in_place()
    store.path.unlink()
    assert not log.is_in_place()
    log.close()
    log.close()
    assert not log.is_in_place()
