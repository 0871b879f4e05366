"""What every AuditStore must do. A backend's own tests inherit the list."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.audit.format.record import LogEnd, Receipt, computed_hash, draft, hash_of
from app.audit.log import AuditLog
from app.audit.storage.append import append
from app.audit.storage.jsonl import JsonlStore
from app.audit.storage.store import AuditStore, Batch, Recovery
from app.errors import AuditCorrupt, AuditUnavailable

from ..support.ledger import ROLE, database_of, new_ledger, open_ledger
from ..support.postgres_server import PostgresServer
from ..support.stored_log import at_once, record, records, stored, verify
from ..support.stores import open_store

SPAWN = multiprocessing.get_context("spawn")
PROCESSES, RECORDS = 4, 250


class StoreContract:
    """A backend's tests inherit this and say how to open a store: `open(place)` twice is two processes' view of one log."""

    open: Callable[[Path], AuditStore]

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
    def store(self, place: Path) -> Iterator[AuditStore]:
        store = self.open(place)
        AuditLog(store).create({"origin": "test"})
        yield store
        store.close()

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
        record(store, *range(30))
        whole = stored(store)
        assert len(whole) == store.size()
        for start, end in ((0, 1), (7, 7), (100, 101), (len(whole) // 3, len(whole) // 2), (len(whole) - 1, len(whole) + 9)):
            assert b"".join(store.chunks(end, start)) == whole[start:end]
        assert b"".join(store.chunks(len(whole) + 100, len(whole))) == b""

    def test_what_a_barrier_has_covered_is_the_end_that_readers_use(self, store: AuditStore, place: Path) -> None:
        receipt = record(store, 1, 2)[-1]
        end = self.open(place).durable()
        assert end == LogEnd(store.size(), receipt.seq, receipt.hash)

    def test_a_look_changes_with_the_log_and_only_then(self, store: AuditStore) -> None:
        before = store.look()
        assert store.look().stamp == before.stamp
        record(store, 1)
        after = store.look()
        assert (after.stamp != before.stamp, after.are_locks_intact, store.is_in_place()) == (True, True, True)

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

    def test_of_many_that_create_at_once_one_succeeds(self, tmp_path: Path) -> None:
        self.prepare(tmp_path / "log")
        outcomes = at_once(8, lambda n: AuditLog(self.open(tmp_path / "log")).create({"n": n}))
        assert sorted(isinstance(one, AuditCorrupt) for one in outcomes) == [False] + [True] * 7
        assert verify(self.open(tmp_path / "log")) == 1

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

    def test_closing_twice_is_harmless_and_the_store_opens_again_by_itself(self, store: AuditStore) -> None:
        store.close()
        store.close()
        assert verify(store, *record(store, 1)) == 2


def write_many(opened: Callable[[Path], AuditStore], place: Path, number: int, results: Any) -> None:
    store = opened(place)
    mine = [one for n in range(RECORDS) for one in record(store, *range(n % 4 + 1), by=str(number))]
    results.put([(one.seq, one.hash) for one in mine])


class TestJsonlStore(StoreContract):
    open = staticmethod(open_store)

    def test_a_build_that_fails_leaves_nothing_and_no_lock(self, store: JsonlStore, place: Path) -> None:
        def build(end: LogEnd, recovered: tuple[Recovery, ...]) -> Batch:
            raise KeyError("not ours")

        with pytest.raises(KeyError):
            store.append(build)
        assert verify(self.open(place), *record(self.open(place), 1)) == 2


class TestPostgresStore(StoreContract):
    """Each place is a database of its own; what was retired is another schema in it."""

    @pytest.fixture(autouse=True)
    def _server(self, postgres: PostgresServer) -> None:
        self.server, self.open = postgres, partial(open_ledger, postgres.url("DATABASE", ROLE), postgres.url("DATABASE"))

    def prepare(self, place: Path) -> None:
        new_ledger(self.server, database_of(place), partition_records=100)

    def nowhere(self, folder: Path) -> Path:
        self.server.new_database(database_of(folder / "nothing"))
        return folder / "nothing"
