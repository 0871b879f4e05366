"""The policy that was recorded last: told by a small file, or by the log itself where that file is not right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.audit.log import AuditLog
from app.audit.storage.jsonl import JsonlStore
from app.catalogue.models import Catalogue
from app.serving.policy_record import PolicyRecord, details_of_change

from ...support import installation
from ...support.clean_settings import use_defaults
from ...support.policies import LAB, SMALL, read

MARK = Path("logs/audit_log.policy")


class Desk:
    """The log of an installation, and the record of its policies."""

    def __init__(self, audit: AuditLog) -> None:
        self.audit = audit
        self.policies = PolicyRecord(installation.LOG, audit)

    def record(self, sha256: str) -> None:
        async def write() -> None:
            async with self.audit:
                await self.policies.record({"sha256": sha256})

        asyncio.run(write())

    def answer(self, text: str) -> None:
        """A record of another kind, with *text* in it."""

        async def write() -> None:
            async with self.audit:
                details = {"messages": [{"action": "policy.changed", "details": {"sha256": text}}]}
                await self.audit.record("ask.received", user_id=None, details=details)

        asyncio.run(write())


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    use_defaults(monkeypatch, tmp_path)
    installation.init()
    with closing(AuditLog(JsonlStore(installation.LOG))) as audit:
        yield Desk(audit)


def test_a_new_log_has_no_policy(desk: Desk) -> None:
    assert desk.policies.last() == ""
    assert MARK.exists(), "so that the next start need not look again"


def test_the_newest_record_counts(desk: Desk) -> None:
    for sha256 in ("a" * 64, "b" * 64):
        desk.record(sha256)
        desk.answer("c" * 64)
        assert desk.policies.last() == sha256
    MARK.unlink()
    assert desk.policies.last() == "b" * 64, "the log itself says it"


def test_a_long_log_is_not_read_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.record("a" * 64)
    for _ in range(3):
        desk.answer("x")
    read_bytes: list[int] = []
    whole = desk.audit.lines

    def lines(start: int = 0, end: int | None = None) -> Iterator[bytes]:
        for line in whole(start, end):
            read_bytes.append(len(line))
            yield line

    monkeypatch.setattr(desk.audit, "lines", lines)
    assert desk.policies.last() == "a" * 64
    assert len(read_bytes) == 1


@pytest.mark.parametrize(
    "harm",
    [
        lambda mark: {**mark, "sha256": "f" * 64},
        lambda mark: {**mark, "hash": "f" * 64},
        lambda mark: {**mark, "start": mark["start"] + 1},
        lambda mark: {**mark, "end": 0},
        lambda mark: {**mark, "start": "x"},
        lambda mark: {},
        lambda mark: [],
    ],
)
def test_a_file_that_is_not_right_is_not_believed(desk: Desk, harm: Any) -> None:
    desk.record("a" * 64)
    MARK.write_text(json.dumps(harm(json.loads(MARK.read_text()))))
    assert desk.policies.last() == "a" * 64


def test_a_crash_before_the_record_is_marked_leaves_no_old_mark(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.record("a" * 64)
    with monkeypatch.context() as crash:
        crash.setattr(desk.policies, "_remember", lambda *mark: None)
        desk.record("b" * 64)
    assert not MARK.exists()
    assert desk.policies.last() == "b" * 64


def test_another_log_has_policies_of_its_own(desk: Desk) -> None:
    desk.record("a" * 64)
    desk.audit.close()
    installation.init(new_log=True)
    with closing(AuditLog(JsonlStore(installation.LOG))) as audit:
        assert PolicyRecord(installation.LOG, audit).last() == ""


def catalogue(tmp_path: Path, text: str = "") -> Catalogue:
    return read(tmp_path / "policy.toml", LAB + SMALL + text)


def test_prices_and_budgets_are_recorded_in_full_as_data(tmp_path: Path) -> None:
    money = "[prices.small]\ninput = 0.15\noutput = 0.6\n[[budgets]]\nprincipal = 'alice'\nmoney = 1.50\nper = 'day'\n"
    found = catalogue(tmp_path, money)
    assert json.dumps(details_of_change(found, Path("policy.toml"), "b" * 64), separators=(",", ":")) == (
        '{"file":"policy.toml","sha256":"' + found.sha256 + '","previous":"' + "b" * 64 + '","by":"operator",'
        '"currency":"USD","time_zone":"UTC","prices":{"small":{"input":"0.15","output":"0.6"}},'
        '"budgets":[{"id":"principal=alice/day/money","principal":"alice","money":"1.5","per":"day"}]}'
    )


def test_a_policy_without_money_is_recorded_as_before(tmp_path: Path) -> None:
    found = catalogue(tmp_path)
    wanted = {"file": None, "sha256": found.sha256, "previous": "", "by": "operator"}
    assert list(details_of_change(found, None, "").items()) == list(wanted.items())
