"""The parent process: restarts children that end, reports why it cannot start, stops in order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from app.upstream import embedded

from ..support.fake_openai import FakeOpenAI
from ..support.optional import leave_out
from ..support.service import Service


def eventually(what: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return False


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except FileNotFoundError:
        return ""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_is_replaced_and_answers(workers: int, tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, workers=workers, OPENAI_BASE_URL=fake.base_url) as service:
        token = service.token("alice", service.add_client())
        before = set(service.worker_pids())
        assert len(before) == workers
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        assert eventually(lambda: len(set(service.worker_pids()) - before) == workers)
        service.wait_ready()
        assert service.ask(token).status_code == 200
        assert service.verify()["ok"]


def test_workers_end_when_their_parent_is_killed(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url).start()
    workers = service.worker_pids()
    assert service.process is not None
    service.process.kill()
    service.process.wait()
    assert eventually(lambda: not any("app.serving.parent" in command_of(pid) for pid in workers))


def test_a_dead_embedded_model_is_restarted_and_workers_share_it(tmp_path: Path) -> None:
    if not embedded.is_installed():
        leave_out("the extra `embedded` is not installed: make install installs it")
    with Service(tmp_path, workers=2, LLM_MAX_TOKENS="8", LLM_TEMPERATURE="0") as service:
        token = service.token("alice", service.add_client())
        assert service.ask(token).status_code == 200
        [model] = [pid for pid in service.worker_pids() if "app.upstream.embedded" in command_of(pid)]
        os.kill(model, signal.SIGKILL)
        assert service.ask(token).json().get("code") in (None, "upstream_unavailable")
        assert eventually(lambda: service.ask(token).status_code == 200)
        assert service.verify()["ok"]
    assert "embedded" in (tmp_path / "serve.log").read_text()


def test_a_service_that_cannot_start_says_why_in_one_sentence_and_ends(tmp_path: Path) -> None:
    service = Service(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    service.log.unlink()
    done = service.run("serve", "--port", str(service.port), status=2)
    assert "is missing" in done.stderr
    assert "init --new-log" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_said_in_one_sentence(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service:
        done = service.run("serve", "--port", str(service.port), status=2)
        assert "--port" in done.stderr
        assert "Traceback" not in done.stderr


def test_sigterm_ends_the_service_with_status_zero(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url).start()
    assert service.stop() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(service.url + "/livez")
