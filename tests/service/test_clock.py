"""Setting the wall clock back a day or forward a year is recorded and changes nothing else."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from app.audit.format.note import VerifierKey
from app.audit.format.receipt import verify_receipt

from ..support.calls import bearer, check_problem
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service
from ..support.waiting import eventually
from ..support.wall_clock import CACHED_SECONDS, Clock

DAY, YEAR = 86_400, 31_536_000
LIMIT = 8


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


class Caller:
    """A client that gets a new token for each question and may ask LIMIT questions a minute."""

    def __init__(self, service: Service, name: str) -> None:
        self.service, self.name, self.secret = service, name, service.add_client(name)
        self.since = time.monotonic()

    def ask(self) -> httpx.Response:
        """Ask with a new token, since the clock decides whether an old one is valid."""
        return self.service.ask(self.service.token(self.name, self.secret))

    def left(self) -> int:
        response = self.ask()
        assert response.status_code == 200, response.text
        return int(response.headers["x-ratelimit-remaining-requests"])


def steps(service: Service) -> list[float]:
    return [record["details"]["seconds"] for record in service.records() if record["action"] == "log.clock_stepped"]


def test_a_clock_set_back_or_forward_is_recorded_and_changes_nothing_else(tmp_path: Path, clock: Clock, fake: FakeOpenAI) -> None:
    with Service(tmp_path, prefix=clock.prefix, OPENAI_BASE_URL=fake.base_url, RATE_LIMIT=str(LIMIT)) as service:
        key = VerifierKey.parse(HTTP.get(service.url + "/audit/vkey").text)
        full, other = Caller(service, "full"), Caller(service, "other")
        for number, (offset, step) in enumerate(((-DAY, -DAY), (YEAR, DAY + YEAR))):
            asked = time.monotonic()
            left = other.left()
            while (refused := full.ask()).status_code == 200:
                pass
            check_problem(refused, 429, "rate_limited")
            clock.set(offset)
            eventually(lambda count=number + 1: len(steps(service)) == count)  # type: ignore[misc]
            time.sleep(2 * CACHED_SECONDS)  # until then other threads may still have the time of before
            assert abs(steps(service)[-1] - step) < 5
            written = datetime.fromisoformat(service.records()[-1]["timestamp"]).timestamp()
            assert abs(written - time.time() - offset) < 60
            still_full, less = full.ask(), other.left()
            if time.monotonic() - asked < 55:  # otherwise the window has passed on the monotonic clock
                check_problem(still_full, 429, "rate_limited")
                assert less == left - 1
            assert int(refused.headers["retry-after"]) <= 60
            assert int(still_full.headers.get("retry-after", 0)) <= 60
            seq = len(service.records()) - 1
            receipt = HTTP.get(f"{service.url}/audit/receipts/{seq}", headers=bearer(service.token("other", other.secret)))
            assert verify_receipt(receipt.content, key).seq == seq
        assert service.verify()["ok"]
        assert len(steps(service)) == 2
