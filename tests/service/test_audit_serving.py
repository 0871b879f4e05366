"""Evidence from a service on a full disk, under plain uvicorn and with many processes."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import httpx
import pytest

from app.audit.format.merkle import leaf_hash, root_of
from app.audit.format.note import VerifierKey, verify_checkpoint
from app.audit.format.receipt import verify_receipt

from ..support.calls import bearer, check_problem
from ..support.fake_openai import FakeOpenAI
from ..support.plain_uvicorn import plain_uvicorn
from ..support.service import HTTP, Service
from ..support.small_disk import SmallDisk
from ..support.waiting import eventually


def get(service: Service, path: str, who: dict[str, str] | None = None) -> httpx.Response:
    return HTTP.get(f"{service.url}/audit/{path}", headers=who or {})


def signed(service: Service) -> int:
    note = get(service, "checkpoint").content
    return verify_checkpoint(note, VerifierKey.parse(get(service, "vkey").text)).size


def check_log(service: Service, log: Path) -> None:
    lines = log.read_bytes().split(b"\n")[:-1]
    head = verify_checkpoint((log.with_suffix(".tree") / "checkpoint").read_bytes(), VerifierKey.parse(get(service, "vkey").text))
    assert head.root == root_of(leaf_hash(line) for line in lines[: head.size])


def test_an_auditor_reads_nothing_that_cannot_be_recorded(tmp_path: Path, fake: FakeOpenAI) -> None:
    """On a full disk, own records and public evidence are still shown; with space, everything is."""
    disk = SmallDisk(tmp_path / "audit", kib=96)
    where = {"OPENAI_BASE_URL": fake.base_url, "AUDIT_LOG_PATH": "./audit/audit_log.jsonl"}
    with disk, Service(tmp_path, workers=1, prefix=disk.prefix, **where) as service:
        alice = bearer(service.token("alice", service.add_client("alice")))
        auditor = bearer(service.token("auditor", service.add_client("auditor", "ai.audit.reader")))
        seq = HTTP.post(service.url + "/ask", json={"query": "hi"}, headers=alice).json()["receipt"]["seq"]
        eventually(lambda: signed(service) > seq)
        while (answer := HTTP.post(service.url + "/ask", json={"query": "é" * 2000}, headers=alice)).status_code == 200:
            pass
        check_problem(answer, 503, "audit_unavailable")
        fill = ["sh", "-c", "cat /dev/zero > audit/filler 2>/dev/null; true"]
        subprocess.run([*disk.prefix, *fill], check=True, timeout=30)
        for path in (f"entries/{seq}", f"receipts/{seq}", "entries?limit=3", "tile/entries/000.p/2"):
            check_problem(get(service, path, auditor), 503, "audit_unavailable")
        for path in (f"entries/{seq}", f"receipts/{seq}", "tile/0/000.p/3", "checkpoint"):
            assert get(service, path, alice).status_code == 200, path
        subprocess.run([*disk.prefix, "rm", "audit/filler"], check=True, timeout=30)
        disk.resize(1024)
        service.wait_ready()
        eventually(lambda: get(service, f"entries/{seq}", auditor).status_code == 200)
        newest = HTTP.post(service.url + "/ask", json={"query": "hi"}, headers=alice).json()["receipt"]["seq"]
        eventually(lambda: signed(service) > newest)
        check_log(service, disk.seen("audit_log.jsonl"))
        assert get(service, f"receipts/{newest}", alice).status_code == 200


@pytest.mark.parametrize("processes", [1, 2])
def test_under_plain_uvicorn_too_checkpoints_are_signed(tmp_path: Path, fake: FakeOpenAI, processes: int) -> None:
    """Each process has a signing loop; a lock decides which of them signs."""
    service = Service(tmp_path, OPENAI_BASE_URL=fake.base_url)
    secret = service.add_client("alice")
    with plain_uvicorn(service, processes):
        key = VerifierKey.parse(get(service, "vkey").text)
        alice = bearer(service.token("alice", secret))
        for _ in range(4):
            seq = HTTP.post(service.url + "/ask", json={"query": "hi"}, headers=alice).json()["receipt"]["seq"]
            assert verify_receipt(get(service, f"receipts/{seq}", alice).content, key).seq == seq
        seq = HTTP.post(service.url + "/ask", json={"query": "hi"}, headers=alice).json()["receipt"]["seq"]
        eventually(lambda: signed(service) > seq)
        check_log(service, service.log)
    assert service.verify()["ok"]


def test_what_was_recorded_last_is_signed_when_the_service_stops(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url) as service:
        token = service.token("alice", service.add_client())
        assert service.ask(token).status_code == 200
        key = VerifierKey.parse(get(service, "vkey").text)
    head = verify_checkpoint((service.log.with_suffix(".tree") / "checkpoint").read_bytes(), key)
    assert head.size == len(service.records())


def test_a_killed_notary_process_is_replaced(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service:
        token = service.token("alice", service.add_client())
        for pid in service.worker_pids():
            os.kill(pid, signal.SIGKILL)
        service.wait_ready()
        eventually(lambda: service.ask(token).status_code == 200)
        eventually(lambda: signed(service) == len(service.records()))
        check_log(service, service.log)


def test_a_new_log_is_not_begun_while_a_service_is_running(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service:
        before = service.log.read_bytes()[:200]
        assert "Stop it first" in service.run("init", "--new-log", status=2).stderr
        assert service.log.read_bytes()[:200] == before
    assert service.cli("init", "--new-log")["receipt"].startswith("0:")
