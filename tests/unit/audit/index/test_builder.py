"""The index follows the log, and is built again whenever it is not the index of this log."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from app.audit.format.record import draft
from app.audit.index.builder import BATCH_BYTES, IndexBuilder
from app.audit.index.demand import Demand
from app.audit.index.search import Filter, irregularities, search, size_of
from app.audit.storage.append import append
from app.errors import Unavailable

from ....support.indexed import Indexed
from ....support.stores import open_store
from ....support.waiting import eventually


def test_each_record_is_found_once_whoever_builds(indexed: Indexed) -> None:
    first = indexed.ask("alice", "one", "two")
    indexed.build()
    with closing(open_store(indexed.log)) as store:
        other = IndexBuilder(store, indexed.log, Demand())
        indexed.add("token.issued", "alice")
        other.step()
        indexed.build()
        other.close()
    assert search(indexed.path, Filter(user="alice")).seqs == [3, *reversed(first)]


def test_a_log_longer_than_a_batch_is_taken_in_several(indexed: Indexed) -> None:
    text = "word " * 8_000
    records = [draft("ask.received", "alice", {"query": text}) for _ in range(BATCH_BYTES // len(text) + 2)]
    append(indexed.store.append, records)
    assert indexed.builder.step()
    assert 1 < size_of(indexed.path) < len(records)
    assert size_of(indexed.build()) == len(records) + 1


def another_format(indexed: Indexed) -> None:
    with closing(sqlite3.connect(indexed.path)) as connection:
        connection.execute("UPDATE state SET format = 0")
        connection.commit()


def overwrite(indexed: Indexed) -> None:
    """All pages but the first: the builder, which only appends, need not come across them."""
    with closing(sqlite3.connect(indexed.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        start = connection.execute("PRAGMA page_size").fetchone()[0]
    with indexed.path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * (indexed.path.stat().st_size - start))


HURT: dict[str, Callable[[Indexed], object]] = {
    "deleted": lambda indexed: indexed.path.unlink(),
    "cut to nothing": lambda indexed: os.truncate(indexed.path, 0),
    "cut in the middle": lambda indexed: os.truncate(indexed.path, 9_000),
    "overwritten": overwrite,
    "no database": lambda indexed: indexed.path.write_bytes(b"no database " * 1000),
    "of another format": another_format,
}


@pytest.mark.parametrize("how", HURT)
def test_an_index_that_is_hurt_beside_its_builder_comes_back(indexed: Indexed, how: str) -> None:
    indexed.ask("alice", "one", "two")
    indexed.build()
    HURT[how](indexed)
    with running(indexed):
        eventually(lambda: _size(indexed) == 3)
        indexed.ask("alice", "three", "four")
        eventually(lambda: _size(indexed) == 5)
    assert search(indexed.path, Filter(text="three")).seqs == [3]


def test_an_index_of_another_log_is_built_again(indexed: Indexed) -> None:
    indexed.ask("alice", "one", "two")
    indexed.build()
    with closing(sqlite3.connect(indexed.path)) as connection:
        connection.execute("UPDATE state SET hash = ?", ("f" * 64,))
        connection.commit()
    indexed.build()
    indexed.add("token.issued", "alice")
    assert search(indexed.build(), Filter(user="alice")).seqs == [3, 2, 1]


def test_an_end_without_a_model_counts_for_that_of_its_question(indexed: Indexed) -> None:
    received = indexed.add("ask.received", "alice", query="q", model="gpt")
    indexed.build()
    end = indexed.add("ask.failed", "alice", received=received, code="upstream_timeout")
    assert search(indexed.build(), Filter(model="gpt")).seqs == [end, received]


def test_questions_without_an_end_and_silences_are_told(indexed: Indexed) -> None:
    left = indexed.add("ask.received", "alice", 1, query="q", model="gpt")
    indexed.ask("bobby", "q", "a", seconds=2)
    after = indexed.add("log.alive", None, 1_000)
    found = irregularities(indexed.build())
    assert [(one["seq"], one["user"], one["model"]) for one in found["open"]] == [(left, "alice", "gpt")]
    assert [(one["seq"], one["seconds"]) for one in found["gaps"]] == [(after, 998.0)]
    assert found["counts"] == {"open": 1, "gaps": 1}


def test_what_is_left_of_a_nearly_full_disk_is_left_to_the_evidence(
    indexed: Indexed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    indexed.ask("alice", "one", "two")
    known = size_of(indexed.build())
    free = os.statvfs(indexed.path.parent)
    monkeypatch.setattr("app.audit.index.builder.LEAST_FREE_BYTES", 2 * free.f_blocks * free.f_frsize)
    indexed.ask("alice", "three", "four")
    with running(indexed):
        eventually(lambda: "left to the evidence" in caplog.text)
        assert size_of(indexed.path) == known
        monkeypatch.setattr("app.audit.index.builder.LEAST_FREE_BYTES", 0)
        eventually(lambda: size_of(indexed.path) == known + 2)


@contextmanager
def running(indexed: Indexed) -> Iterator[None]:
    """Its builder, while somebody looks."""
    indexed.demand.want()
    stop = threading.Event()
    thread = threading.Thread(target=indexed.builder.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _size(indexed: Indexed) -> int:
    """0 while there is no index that can be read."""
    try:
        return size_of(indexed.path)
    except Unavailable:
        return 0
