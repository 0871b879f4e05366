"""What the workers of one service know of each other: whether any is closed, and how many calls were refused for the log."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import httpx

from app.api.scoreboard import Scoreboard
from app.audit.storage.availability import PROBE_SECONDS

from ...support.calls import bearer
from ...support.fake_openai import FakeOpenAI
from ...support.service import HTTP, Service
from ...support.small_disk import SmallDisk

WORKERS = 4
LOG = "./audit/audit_log.jsonl"


def in_child(scoreboard: Scoreboard, number: int, closed: bool, refused: int) -> None:
    """A worker takes its place, writes on the board, and ends."""
    pid = os.fork()
    if not pid:
        try:
            slot = scoreboard.slot(number)
            slot.set_closed(closed)
            for _ in range(refused):
                slot.refused += 1
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def test_what_a_worker_writes_is_seen_by_all() -> None:
    scoreboard = Scoreboard(3)
    assert (scoreboard.any_closed, scoreboard.refused) == (False, 0)
    for number in range(3):
        in_child(scoreboard, number, closed=number == 1, refused=1000 + number)
    assert (scoreboard.any_closed, scoreboard.refused) == (True, 3003)


def test_a_replacement_begins_open_and_counts_on() -> None:
    scoreboard = Scoreboard(2)
    in_child(scoreboard, 1, closed=True, refused=5)
    slot = scoreboard.slot(1)
    assert (slot.closed, scoreboard.any_closed, slot.refused) == (False, False, 5)
    scoreboard.slot(0).set_closed(True)
    assert (slot.closed, scoreboard.any_closed) == (False, True)


def ready(service: Service) -> httpx.Response:
    """Of whichever worker takes the connection."""
    return HTTP.get(service.url + "/readyz")


def fill(disk: SmallDisk) -> None:
    script = 'head -c 1000000 /dev/zero > "$1"; true'
    subprocess.run([*disk.prefix, "sh", "-c", script, "sh", str(disk.place / "filler")], check=True, capture_output=True)


def ask_until_nothing_fits(caller: httpx.Client, disk: SmallDisk) -> int:
    """How often the one worker behind this connection refused, once not even its probes find room any more."""
    refused, since, size, deadline = 0, time.monotonic(), 0, time.monotonic() + 60
    while time.monotonic() < since + 3 * PROBE_SECONDS:
        refused += caller.post("/ask", json={"query": "hi"}).status_code == 503
        if (now := disk.seen("audit_log.jsonl").stat().st_size) != size:
            since, size = time.monotonic(), now
        assert time.monotonic() < deadline, "the disk does not fill"
        time.sleep(0.01)
    return refused


def test_no_worker_says_ready_while_one_cannot_record_and_all_count_together(tmp_path: Path, fake: FakeOpenAI) -> None:
    """A full disk, four workers, and questions to one of them: the others have not seen the disk."""
    with SmallDisk(tmp_path / "audit", 256) as disk:
        with Service(tmp_path, workers=WORKERS, prefix=disk.prefix, OPENAI_BASE_URL=fake.base_url, AUDIT_LOG_PATH=LOG) as service:
            token = service.token("alice", service.add_client())
            fill(disk)
            with httpx.Client(base_url=service.url, headers=bearer(token), timeout=30) as caller:
                refused = ask_until_nothing_fits(caller, disk)
            answers = [ready(service) for _ in range(20 * WORKERS)]
            assert {one.status_code for one in answers} == {503}
            assert {one.json()["audit"] for one in answers} == {"audit_unavailable"}
            assert {one.json()["refused_for_audit"] for one in answers} == {refused}
            assert {service.ask(token).status_code for _ in range(20)} == {503}
            assert ready(service).json()["refused_for_audit"] == refused + 20
            disk.resize(4096)
            service.wait_ready()
            assert service.ask(token).status_code == 200
            assert ready(service).json()["refused_for_audit"] == refused + 20, "since the service began"
            lines = (tmp_path / "logs/security.log").read_text().splitlines()
            assert sum(" ERROR audit_unavailable " in line for line in lines) == refused + 20
