"""Responses that may be continued: known to their owner alone, by all processes, and never too many."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from app.assistant.known_responses import KnownResponses, Owner
from app.audit.format.record import Receipt
from app.errors import Unavailable

T = TypeVar("T")
ALICE: Owner = ("https://a/v1", "alice", None)
OTHERS: list[Owner] = [
    ("https://b/v1", "alice", None),
    ("https://a/v1", "bob", None),
    ("https://a/v1", "alice", "u1"),
    ("https://a/v1", "alice", ""),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit_log.responses.sqlite3"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., KnownResponses]]:
    made: list[KnownResponses] = []

    def make(*limits: int) -> KnownResponses:
        made.append(KnownResponses(path, *limits))
        return made[-1]

    yield make
    for one in made:
        one.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def test_a_response_is_known_to_its_owner_alone(opened: Callable[..., KnownResponses]) -> None:
    one, other_process = opened(), opened()
    receipt = Receipt(7, "a" * 64)
    run(one.remember(ALICE, "resp_1", receipt))
    assert run(one.find(ALICE, "resp_1")) == run(other_process.find(ALICE, "resp_1")) == receipt
    assert [run(one.find(owner, "resp_1")) for owner in OTHERS] == [None] * len(OTHERS)
    assert run(one.find(ALICE, "resp_2")) is None
    assert run(one.find(("https://a/v1", "alice", "u"), "1resp_1")) is None


def test_it_is_known_after_a_restart_and_only_as_a_digest(opened: Callable[..., KnownResponses], path: Path) -> None:
    before = opened()
    run(before.remember(ALICE, "resp_1", Receipt(7, "a" * 64)))
    before.close()
    assert run(opened().find(ALICE, "resp_1")) == Receipt(7, "a" * 64)
    assert path.stat().st_mode & 0o777 == 0o600
    stored = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"resp_1" not in stored
    assert b"alice" not in stored


def test_the_oldest_are_forgotten(opened: Callable[..., KnownResponses], path: Path) -> None:
    known = opened(3)
    for number in range(5):
        run(known.remember(ALICE, f"resp_{number}", Receipt(number, "a" * 64)))
    found = [run(known.find(ALICE, f"resp_{number}")) for number in range(5)]
    assert [receipt and receipt.seq for receipt in found] == [None, None, 2, 3, 4]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM responses").fetchone() == (3,)


def test_a_server_that_gives_an_id_twice_means_the_later_response(opened: Callable[..., KnownResponses]) -> None:
    known = opened()
    for number in range(2):
        run(known.remember(ALICE, "resp_1", Receipt(number, "a" * 64)))
    assert run(known.find(ALICE, "resp_1")) == Receipt(1, "a" * 64)


def test_a_file_that_cannot_be_used_refuses_and_costs_no_answer(
    opened: Callable[..., KnownResponses], path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(b"no database" * 100)
    known = opened()
    with caplog.at_level(logging.ERROR):
        run(known.remember(ALICE, "resp_1", Receipt(1, "a" * 64)))
        with pytest.raises(Unavailable, match="cannot be looked up now"):
            run(known.find(ALICE, "resp_1"))
    assert [str(path) in message for message in caplog.messages] == [True, True]


def test_a_disk_that_hangs_is_waited_for_a_moment_only(
    opened: Callable[..., KnownResponses], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.assistant.known_responses.TIMEOUT_SECONDS", 0.2)
    known = opened()
    run(known.remember(ALICE, "resp_1", Receipt(1, "a" * 64)))
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        run(known.remember(ALICE, "resp_2", Receipt(2, "a" * 64)))
    assert run(known.find(ALICE, "resp_1")) == Receipt(1, "a" * 64)


def test_nothing_is_made_before_it_is_needed(opened: Callable[..., KnownResponses], path: Path) -> None:
    opened().close()
    assert not path.exists()
