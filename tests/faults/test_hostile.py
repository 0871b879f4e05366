"""What strangers do with connections: the short version of `python -m tests.faults connections`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support.fake_openai import FakeOpenAI
from ..support.waiting import eventually
from . import floods, hostile

ROWS = [row for row in (*hostile.ROWS, *floods.ROWS) if row.short]
OWN = [row for row in ROWS if row.descriptors or row.is_proxied]
ENDING = [row for row in ROWS if row.stops]
SHARED = [row for row in ROWS if row not in (*OWN, *ENDING)]
QUIET_SECONDS = 0.2
RECEIVED, ENDED = ("ask.received",), ("ask.answered", "ask.failed")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory, fake: FakeOpenAI) -> Iterator[hostile.Target]:
    with hostile.target_in(tmp_path_factory.mktemp("hostile"), fake, ROWS[0]) as target:
        yield target


@pytest.mark.parametrize("row", SHARED, ids=lambda row: row.name)
def test_an_honest_caller_is_answered_beside_an_attack(target: hostile.Target, row: hostile.Row) -> None:
    figures = hostile.attack_at(target, row, row.short, QUIET_SECONDS)
    assert figures.answers
    assert target.service.ask(target.token).status_code == 200


@pytest.mark.parametrize("row", OWN, ids=lambda row: row.name)
def test_a_service_of_its_own_goes_on_answering(tmp_path: Path, fake: FakeOpenAI, row: hostile.Row) -> None:
    with hostile.target_in(tmp_path, fake, row) as target:
        hostile.attack_at(target, row, row.short, QUIET_SECONDS)
        eventually(lambda: target.service.ask(target.token).status_code == 200)


@pytest.mark.parametrize("row", ENDING, ids=lambda row: row.name)
def test_a_stop_waits_for_no_caller_who_reads_nothing(tmp_path: Path, fake: FakeOpenAI, row: hostile.Row) -> None:
    with hostile.target_in(tmp_path, fake, row) as target:
        hostile.attack_at(target, row, row.short, QUIET_SECONDS)
        records = target.service.records()
        received, ended = ([one for one in records if one["action"] in names] for names in (RECEIVED, ENDED))
        assert len(received) == len(ended)
        assert {one["details"]["code"] for one in ended if one["action"] == "ask.failed"} <= {"interrupted"}
