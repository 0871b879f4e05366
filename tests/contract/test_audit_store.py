"""What every AuditStore must do. A backend's own tests inherit the list."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.record import MAX_LINE_BYTES, LogEnd, Receipt, computed_hash, draft, hash_of
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.postgres.place import LedgerPlace
from app.audit.storage.postgres.store import PostgresStore
from app.audit.storage.store import AuditStore, Batch, Recovery
from app.errors import AuditCorrupt, AuditUnavailable

from ..support.checked import chain_report
from ..support.ledger import ROLE, fresh_ledger, new_ledger, no_ledger, open_ledger
from ..support.postgres_server import PostgresServer
from ..support.stored_log import at_once, record, recording, records, stored, verify
from ..support.stores import closed_at_end, open_store

SPAWN = multiprocessing.get_context("spawn")
PROCESSES, RECORDS = 4, 60


class StoreContract:
    """A backend's tests inherit this and say how to open a store: `open(place)` twice is two processes' view of one log."""

    open: Callable[[Path], AuditStore]
    guarded: Callable[[Path, Callable[[], None]], AuditStore]
    """A store that calls this before each write."""
    edit: Callable[[Path, int], None]
    """A stranger changes one byte of the last record, counted from its end."""
    cut: Callable[[Path], None]
    """A stranger removes the last record."""

    def prepare(self, place: Path) -> None:
        """What an operator does before a log is begun at *place*."""

    def nowhere(self, folder: Path) -> Path:
        """A place without a log."""
        return folder / "nothing.jsonl"

    @pytest.fixture
    def place(self, tmp_path: Path) -> Path:
        place = tmp_path / "audit_log.jsonl"
        self.prepare(place)
        return place

    @pytest.fixture
    def store(self, place: Path) -> AuditStore:
        store = self.open(place)
        AuditLog(store).create({"origin": "test"})
        return store

    def test_what_is_appended_is_there_on_return_for_every_reader(self, store: AuditStore, place: Path) -> None:
        receipts = record(store, 1, 2, 3)
        assert [one.seq for one in receipts] == [1, 2, 3]
        assert verify(self.open(place), *receipts) == 4

    def test_the_bytes_are_kept_as_they_were_given(self, store: AuditStore) -> None:
        given = draft("log.alive", None, {"text": "é\u2028\n\\", "number": 1.50, "deep": [{"": None}]})
        receipts = append(store.append, [given] * 3)
        lines = stored(store).splitlines(keepends=True)[-3:]
        assert [hash_of(line) for line in lines] == [computed_hash(line) for line in lines] == [one.hash for one in receipts]
        middle = b'"request_id":"%b","user_id":null,"action":"log.alive","details":%b,"prev_hash"'
        assert all(middle % (given.request_id.encode(), given.details) in line for line in lines)

    def test_a_record_is_appended_only_after_the_one_that_is_named(self, store: AuditStore) -> None:
        last = record(store, 1)[-1].seq
        assert append(store.append, [draft("log.alive", None, {})], after=last - 1) == []
        assert [one.seq for one in append(store.append, [draft("log.alive", None, {})], after=last)] == [last + 1]
        assert verify(store) == last + 2

    def test_an_empty_batch_adds_nothing(self, store: AuditStore) -> None:
        before = stored(store)
        assert append(store.append, []) == []
        assert stored(store) == before

    def test_a_byte_has_the_same_place_as_in_the_exported_file(self, store: AuditStore) -> None:
        for size in range(1, 12):
            append(store.append, [draft("log.alive", None, {"x": "y" * (40 * n)}) for n in range(size)])
        whole = stored(store)
        assert len(whole) == store.size()
        for start in (*range(0, len(whole), 2_003), len(whole) - 1, len(whole)):
            for length in (0, 1, 500, 5_000):
                assert b"".join(store.chunks(start + length, start)) == whole[start : start + length]

    def test_what_a_barrier_has_covered_is_the_end_that_readers_use(self, store: AuditStore, place: Path) -> None:
        receipt = record(store, 1, 2)[-1]
        end = self.open(place).durable()
        assert end == LogEnd(store.size(), receipt.seq, receipt.hash)

    def test_a_look_changes_with_the_log_and_only_then(self, store: AuditStore, place: Path) -> None:
        watching = self.open(place)
        before = watching.look()
        assert watching.look().stamp == before.stamp
        record(store, 1)
        after = watching.look()
        assert (after.stamp != before.stamp, after.are_locks_intact, watching.is_in_place()) == (True, True, True)

    def test_a_look_sees_that_a_durable_record_is_gone(self, store: AuditStore, place: Path) -> None:
        record(store, 1)
        watching = self.open(place)
        assert watching.durable() is not None
        watching.look()
        self.cut(place)
        for _ in range(2):
            with pytest.raises(AuditCorrupt):
                watching.look()

    def test_a_log_that_is_not_what_was_signed_takes_nothing(self, store: AuditStore, place: Path) -> None:
        def refuse() -> None:
            raise AuditCorrupt("not what was signed")

        before, closed = stored(store), self.guarded(place, refuse)
        for write in (closed.append, closed.recover):
            with pytest.raises(AuditCorrupt, match="not what was signed"):
                append(write, [draft("log.alive", None, {})])
        assert stored(store) == before

    @pytest.mark.parametrize("at", [-2, -10, -100, -200])
    def test_recovery_refuses_a_last_record_that_was_edited(self, store: AuditStore, place: Path, at: int) -> None:
        record(store, 1)
        self.edit(place, at)
        with pytest.raises(AuditCorrupt):
            AuditLog(self.open(place)).recover()

    def test_a_log_that_does_not_exist_cannot_be_appended_to(self, tmp_path: Path) -> None:
        store = self.open(self.nowhere(tmp_path))
        assert not store.exists()
        for write in (store.append, store.recover):
            with pytest.raises(AuditUnavailable):
                append(write, [])
        assert not store.exists()

    def test_a_log_is_created_once(self, store: AuditStore) -> None:
        before = stored(store)
        with pytest.raises(AuditCorrupt):
            AuditLog(store).create({})
        assert stored(store) == before

    def test_of_many_that_create_at_once_one_succeeds(self, place: Path) -> None:
        outcomes = at_once(8, lambda n: AuditLog(self.open(place)).create({"n": n}))
        assert sorted(isinstance(one, AuditCorrupt) for one in outcomes) == [False] + [True] * 7
        assert verify(self.open(place)) == 1

    @pytest.mark.slow
    def test_many_processes_write_one_chain_and_lose_nothing(self, store: AuditStore, place: Path) -> None:
        opened = self.open
        results = SPAWN.Queue()
        writers = [SPAWN.Process(target=write_many, args=(opened, place, number, results)) for number in range(PROCESSES)]
        for writer in writers:
            writer.start()
        receipts = [Receipt(*one) for _ in writers for one in results.get(timeout=60)]
        for writer in writers:
            writer.join()
        assert len({one.seq for one in receipts}) == len(receipts)
        assert verify(opened(place), *receipts) == len(receipts) + 1

    def test_many_threads_of_one_process_write_one_chain(self, store: AuditStore) -> None:
        """One thread writes in the service; but the lock must keep two of them apart as well."""
        outcomes = at_once(8, lambda n: [one for k in range(40) for one in record(store, k, by=str(n))])
        receipts = [one for outcome in outcomes for one in outcome]
        assert verify(store, *receipts) == 321

    def test_recovering_a_sound_log_changes_nothing(self, store: AuditStore) -> None:
        record(store, 1)
        before = stored(store)
        AuditLog(store).recover()
        assert stored(store) == before

    def test_another_log_names_the_old_end_and_keeps_the_old_log(self, store: AuditStore, place: Path) -> None:
        receipt = record(store, 1, 2)[-1]
        old = stored(store)
        log = AuditLog(store)
        opened = log.begin_another({"origin": "test"})
        previous = records(store)[0]["details"]["previous"]
        assert (opened.seq, verify(store, opened)) == (0, 1)
        assert previous["head"] == {"seq": receipt.seq, "hash": receipt.hash, "size": len(old)}
        assert b"".join(self.open(place.with_name(previous["kept_as"])).chunks(len(old))) == old
        assert verify(store, *record(store, 3)) == 2

    def test_another_log_may_begin_where_there_was_none(self, place: Path) -> None:
        log = AuditLog(self.open(place))
        log.begin_another({"origin": "test"})
        assert log.first_details() == {"origin": "test", "previous": {"kept_as": None, "head": None}}

    def test_another_log_that_cannot_be_made_leaves_the_old_one(self, store: AuditStore) -> None:
        def build(end: LogEnd | None, kept_as: str | None) -> Batch:
            raise AuditUnavailable("not now")

        before = stored(store)
        with pytest.raises(AuditUnavailable, match="not now"):
            store.retire(build)
        assert stored(store) == before
        assert verify(store, *record(store, 1)) == 2

    def test_a_log_that_grows_while_it_is_verified_is_sound(self, store: AuditStore, place: Path) -> None:
        def write() -> None:
            writer = self.open(place)
            while not done.is_set():
                record(writer, *range(20))

        done, thread = threading.Event(), threading.Thread(target=write)
        thread.start()
        try:
            assert all(chain_report(AuditLog(self.open(place))).ok for _ in range(20))
        finally:
            done.set()
            thread.join()

    def test_closing_twice_is_harmless_and_the_store_opens_again_by_itself(self, store: AuditStore) -> None:
        store.close()
        store.close()
        assert verify(store, *record(store, 1)) == 2

    # --- AuditLog over any store -----------------------------------------------------------------

    def test_a_log_has_records_once_it_is_created(self, place: Path) -> None:
        log = AuditLog(self.open(place))
        assert (log.is_empty(), log.has_one_record()) == (True, False)
        receipt = log.create({"origin": "test"})
        assert (log.exists(), log.is_empty(), log.has_one_record()) == (True, False, True)
        assert (receipt.seq, log.first_details()) == (0, {"origin": "test"})

    def test_a_record_is_durable_and_its_receipt_names_it(self, store: AuditStore) -> None:
        log = AuditLog(store)

        async def work() -> None:
            receipt = await log.record("ask.received", user_id="alice", details={"query": "é"}, request_id="0f" * 16)
            made = records(store)[1]
            assert (made["seq"], made["hash"]) == receipt
            assert (made["user_id"], made["request_id"], made["details"]) == ("alice", "0f" * 16, {"query": "é"})
            assert store.durable() == LogEnd(store.size(), *receipt)
            assert not log.has_one_record()

        recording(log, work)

    def test_details_of_any_size_fit_into_a_line(self, store: AuditStore) -> None:
        log, query = AuditLog(store), "x" * 10 * MAX_LINE_BYTES

        async def work() -> None:
            receipt = await log.record("ask.received", user_id=None, details={"query": query})
            assert chain_report(log, [receipt]).findings == []
            assert len(stored(store).splitlines()[1]) < MAX_LINE_BYTES
            assert records(store)[1]["details"]["query"]["bytes"] == len(query)

        recording(log, work)

    @pytest.mark.parametrize(
        "wrong",
        [{"action": "ask.unknown"}, {"user_id": "not one"}, {"request_id": "short"}, {"details": {"n": object()}}],
        ids=lambda one: next(iter(one)),
    )
    def test_what_can_never_be_a_record_raises_and_closes_nothing(self, store: AuditStore, wrong: dict[str, Any]) -> None:
        log, given = AuditLog(store), {"action": "ask.received", "user_id": "alice", "details": {}, **wrong}

        async def work() -> None:
            with pytest.raises(ValueError):
                await log.record(given.pop("action"), **given)
            assert log.closed_because is None

        recording(log, work)
        assert verify(store) == 1

    def test_before_its_start_and_after_its_end_a_log_records_nothing(self, store: AuditStore) -> None:
        log = AuditLog(store)

        async def one() -> None:
            await log.record("ask.received", user_id=None, details={})

        for _ in range(2):
            with pytest.raises(AuditUnavailable, match="not open"):
                asyncio.run(one())
            recording(log, one)
        assert verify(store) == 3

    def test_lines_may_be_read_from_one_byte_to_another(self, store: AuditStore) -> None:
        log = AuditLog(store)
        first = log.size()
        record(store, 1)
        whole = list(log.lines())
        assert b"".join(whole) == stored(store)
        assert [*log.lines(end=first), *log.lines(start=first)] == whole
        assert list(log.lines(start=log.size())) == []


def write_many(opened: Callable[[Path], AuditStore], place: Path, number: int, results: Any) -> None:
    store = opened(place)
    mine = [one for n in range(RECORDS) for one in record(store, *range(n % 4 + 1), by=str(number))]
    results.put([(one.seq, one.hash) for one in mine])


class TestJsonlStore(StoreContract):
    open = staticmethod(open_store)
    guarded = staticmethod(open_store)

    def edit(self, place: Path, at: int) -> None:
        data = bytearray(place.read_bytes())
        data[at] ^= 1
        place.write_bytes(data)

    def cut(self, place: Path) -> None:
        lines = place.read_bytes().splitlines(keepends=True)
        os.truncate(place, len(b"".join(lines[:-1])))

    def test_a_build_that_fails_leaves_nothing_and_no_lock(self, store: JsonlStore, place: Path) -> None:
        def build(end: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
            raise KeyError("not ours")

        with pytest.raises(KeyError):
            store.append(build)
        assert verify(self.open(place), *record(self.open(place), 1)) == 2


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> str:
    return new_ledger(postgres)


class TestPostgresStore(StoreContract):
    """One database; what was retired is another schema in it."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer, database: str) -> None:
        self.server, self.database = postgres, database
        self.open = partial(open_ledger, postgres.url(database, ROLE), postgres.url(database))

    def guarded(self, place: Path, verify_sound: Callable[[], None]) -> AuditStore:
        return closed_at_end(PostgresStore(LedgerPlace(self.server.url(self.database, ROLE)), verify_sound))

    def prepare(self, place: Path) -> None:
        fresh_ledger(self.server, self.database, partition_records=100)

    def nowhere(self, folder: Path) -> Path:
        no_ledger(self.server, self.database)
        return folder

    def edit(self, place: Path, at: int) -> None:
        seq, line = self.server.query("SELECT seq, line FROM audit.lines ORDER BY seq DESC LIMIT 1", database=self.database)[0]
        data = bytearray(line)
        data[at] ^= 1
        self.server.query("UPDATE audit.lines SET line = %s WHERE seq = %s", bytes(data), seq, database=self.database)

    def cut(self, place: Path) -> None:
        for table, key in (("lines", "seq"), ("batches", "last_seq")):
            last = "(SELECT max(last_seq) FROM audit.batches)"
            self.server.query(f"DELETE FROM audit.{table} WHERE {key} >= {last}", database=self.database)
