"""Setting the wall clock back a day or forward a year is recorded and changes nothing else."""

from __future__ import annotations

import shutil
import subprocess
import time
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from app.audit.format.note import VerifierKey
from app.audit.format.receipt import verify_receipt

from ..support.calls import bearer, check_problem
from ..support.fake_openai import FakeOpenAI
from ..support.optional import leave_out
from ..support.service import HTTP, Service
from ..support.waiting import eventually

DAY, YEAR = 86_400, 31_536_000
LIMIT = 8
CACHED_SECONDS = 1
"""How long libfaketime uses an offset before it reads it again: its least."""

# libfaketime 0.9.10 takes the monotonic deadline of time.sleep for wall clock time.
SLEEP = "import select, time; time.sleep = lambda seconds: select.select([], [], [], seconds) and None"


class Clock:
    """Shifts the wall clock of commands behind `prefix` by the offset in a file. The monotonic clock is not changed."""

    def __init__(self, folder: Path) -> None:
        faketime = shutil.which("faketime")
        if faketime is None:
            leave_out("there is no libfaketime, so no clock was set under a running service (Debian: apt-get install faketime)")
        (folder / "site").mkdir()
        (folder / "site/sitecustomize.py").write_text(SLEEP)
        self._file = folder / "clock"
        self.set(0)
        library = subprocess.run([faketime, "-f", "+0", "printenv", "LD_PRELOAD"], capture_output=True, text=True, timeout=30)
        self.env = {
            "LD_PRELOAD": library.stdout.strip(),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": str(CACHED_SECONDS),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(folder / "site"),
        }

    @property
    def prefix(self) -> list[str]:
        return ["env", *(f"{name}={value}" for name, value in self.env.items())]

    def set(self, seconds: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.rename(self._file)


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
