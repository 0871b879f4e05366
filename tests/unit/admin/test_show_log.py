"""Records are shown as stored, oldest first; what cannot be read is shown too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.admin import show_log
from app.audit.format.chain import link
from app.audit.format.record import EMPTY, Draft, draft
from app.errors import AuditCorrupt, ConfigError

from ...support.installation import KEY, LOG

ONE, OTHER = "1" * 32, "2" * 32


def write_log(*drafts: Draft) -> None:
    KEY.parent.mkdir()
    LOG.write_bytes(link(drafts, EMPTY, "2026-01-02T03:04:05.678901Z")[0])


@pytest.fixture
def log() -> None:
    write_log(
        draft("log.opened", None, {}, "0" * 32),
        draft("ask.received", "alice", {"query": "one"}, ONE),
        draft("ask.received", "alice", {"query": f'"request_id":"{ONE}"', "request_id": ONE}, OTHER),
        draft("ask.answered", "alice", {"received": 1, "answer": "two"}, ONE),
    )


def seqs(records: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> list[int]:
    return [record["seq"] for record in records]


@pytest.mark.usefixtures("log")
def test_all_records_or_those_of_one_request() -> None:
    assert seqs(show_log.records()) == [0, 1, 2, 3]
    assert seqs(show_log.records(ONE)) == [1, 3]
    assert seqs(show_log.records(ONE[:8])) == [1, 3]
    assert list(show_log.records("3" * 32)) == []


def test_the_records_of_a_user_that_a_front_end_named_and_of_no_other() -> None:
    user = {"id": "u1", "source": "x-forwarded-user"}
    write_log(
        draft("ask.received", "webui", {"query": "one", "asserted_user": user}, ONE),
        draft("ask.received", "webui", {"query": '"asserted_user":{"id":"u1"', "asserted_user": {**user, "id": "u2"}}, OTHER),
        draft("ask.received", "u01", {"query": "proven", "claimed_user": {**user, "id": "u01"}}, OTHER),
        draft(
            "ask.received",
            "alice",
            {"messages": [{"asserted_user": user}], "params": {"asserted_user": user}, "claimed_user": user},
            OTHER,
        ),
        draft("ask.received", "alice", {"query": "odd", "asserted_user": "u1"}, OTHER),
        draft("ask.answered", "webui", {"received": 0, "answer": "two", "asserted_user": user}, ONE),
    )
    assert seqs(show_log.records(asserted_user="u1")) == [0, 5]
    assert seqs(show_log.records(OTHER, "u2")) == [1]
    assert seqs(show_log.records(ONE, "u2")) == seqs(show_log.records(asserted_user="u01")) == []


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(("count", "expected"), [(1, [3]), (2, [2, 3]), (9, [0, 1, 2, 3])])
def test_the_last_records_oldest_first(count: int, expected: list[int]) -> None:
    assert seqs(show_log.last_records(count)) == expected


@pytest.mark.usefixtures("log")
def test_new_records_follow_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def write_instead_of_waiting(seconds: float) -> None:
        with LOG.open("ab") as file:
            file.write(b'{"seq":4}\nnot JSON\n')

    monkeypatch.setattr("app.admin.show_log.time.sleep", write_instead_of_waiting)
    shown = show_log.follow(1)
    assert next(shown)["seq"] == 3
    assert [next(shown), next(shown)] == [{"seq": 4}, {"unreadable": "not JSON"}]


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (b'{"seq":1}\n', {"seq": 1}),
        (b'{"seq":\n', {"unreadable": '{"seq":'}),
        (b"[1]\n", {"unreadable": "[1]"}),
        (b"\xff", {"unreadable": "\ufffd"}),
    ],
)
def test_a_line_that_is_no_json_object_is_shown_as_unreadable(line: bytes, record: dict[str, Any]) -> None:
    assert show_log.read(line) == record


def test_nothing_is_shown_before_init_or_of_a_lost_log() -> None:
    with pytest.raises(ConfigError, match="run python -m app init"):
        show_log.last_records(1)
    KEY.parent.mkdir()
    KEY.touch()
    with pytest.raises(AuditCorrupt, match="is missing, but"):
        next(show_log.records())
