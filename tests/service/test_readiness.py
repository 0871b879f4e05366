"""/readyz reports all workers: it is 503 while any of them cannot record, and counts the refusals of all."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import httpx

from app.audit.storage.availability import PROBE_SECONDS

from ..support.calls import bearer
from ..support.fake_openai import FakeOpenAI
from ..support.service import HTTP, Service
from ..support.small_disk import SmallDisk
from ..support.waiting import eventually

WORKERS = 4
LOG = "./audit/audit_log.jsonl"


def ready(service: Service) -> httpx.Response:
    """The answer of one of the workers."""
    return HTTP.get(service.url + "/readyz")


def fill(disk: SmallDisk) -> None:
    script = 'head -c 1000000 /dev/zero > "$1"; true'
    subprocess.run([*disk.prefix, "sh", "-c", script, "sh", str(disk.place / "filler")], check=True, capture_output=True)


def ask_until_nothing_fits(caller: httpx.Client, disk: SmallDisk) -> int:
    """How often the worker behind this connection refused, once even its probes find no space."""
    refused, since, size, deadline = 0, time.monotonic(), 0, time.monotonic() + 60
    while time.monotonic() < since + 3 * PROBE_SECONDS:
        refused += caller.post("/ask", json={"query": "hi"}).status_code == 503
        if (now := disk.seen("audit_log.jsonl").stat().st_size) != size:
            since, size = time.monotonic(), now
        assert time.monotonic() < deadline, "the disk does not fill"
        time.sleep(0.01)
    return refused


def test_no_worker_is_ready_while_one_cannot_record_and_all_are_counted(tmp_path: Path, fake: FakeOpenAI) -> None:
    """A full disk, four workers, and questions to one of them: the others have not noticed the disk."""
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
            assert ready(service).json()["refused_for_audit"] == refused + 20, "counted since the start of the service"
        assert sum(" ERROR audit_unavailable " in line for line in service.security_log()) == refused + 20


def test_a_stop_is_announced_while_everything_is_still_answered(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url, SHUTDOWN_NOTICE_SECONDS="600") as service:
        token = service.token("alice", service.add_client())
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        eventually(lambda: HTTP.get(service.url + "/readyz").status_code == 503)
        assert HTTP.get(service.url + "/readyz").json()["status"] == "stopping"
        assert HTTP.get(service.url + "/livez").status_code == 200
        assert service.ask(token).status_code == 200
        service.kill()
