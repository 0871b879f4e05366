"""Live feeds under attack: unread, closed halfway, and open while the service stops."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.web.records import MAX_FEEDS

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from ..support.waiting import eventually
from .feeds import closed_halfway, free_places, open_feeds

MOST = MAX_FEEDS // 2
"""Of a principal who is alone."""
SMALL = 4096
LONG = "word " * 100


@pytest.fixture
def service(tmp_path: Path, fake: FakeOpenAI) -> Iterator[Service]:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service:
        yield service


def test_feeds_that_are_closed_halfway_leave_their_places_free(service: Service) -> None:
    token = service.token("carol", service.add_client("carol", "ai.audit.reader"))
    closed_halfway(service, token, rounds=6, at_once=20)
    eventually(lambda: free_places(service, token, MOST) == MOST, "all places are free again")


def test_feeds_that_nobody_reads_keep_no_question_waiting_and_no_stop(service: Service) -> None:
    auditor = service.token("carol", service.add_client("carol", "ai.audit.reader"))
    token = service.token("alice", service.add_client())
    with open_feeds(service, auditor, 10) as read, open_feeds(service, auditor, 10, buffer=SMALL) as unread:
        assert {feed.status() for feed in (*read, *unread)} == {200}
        assert {service.ask(token, LONG).status_code for _ in range(50)} == {200}
        begun = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - begun < 15  # alone it takes 0.5 s; with a feed that is waited for, 30 s
        endings = {feed.rest()[-5:] for feed in read}
    assert endings == {b"0\r\n\r\n"}, "a feed ends whole"
    assert service.verify()["ok"]
