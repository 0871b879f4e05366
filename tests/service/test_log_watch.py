"""A log that a stranger changes stops the service, however that is run; a notary that hangs is told."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.audit.evidence.health import STILL_SECONDS

from ..support.fake_openai import FakeOpenAI
from ..support.plain_uvicorn import plain_uvicorn
from ..support.service import HTTP, Service
from ..support.waiting import eventually


def ready(service: Service) -> Any:
    return HTTP.get(service.url + "/readyz").json()


def statuses(service: Service, token: str) -> set[int]:
    """Of so many questions that each process gets some."""
    return {service.ask(token).status_code for _ in range(12)}


def events(service: Service) -> list[str]:
    return [line.split()[2] for line in (service.folder / "logs/security.log").read_text().splitlines()]


@contextmanager
def junk_in(log: Path) -> Iterator[None]:
    size = log.stat().st_size
    with log.open("ab") as file:
        file.write(b"junk\n")
    yield
    os.truncate(log, size)


def is_signed(service: Service) -> bool:
    return bool(ready(service)["signing"] == "up to date") and ready(service)["head_age_seconds"] > 1


@pytest.mark.parametrize("processes", [1, 2])
def test_under_plain_uvicorn_too_a_strangers_line_closes_the_log(tmp_path: Path, fake: FakeOpenAI, processes: int) -> None:
    service = Service(tmp_path, OPENAI_BASE_URL=fake.base_url)
    secret = service.add_client("alice")
    with plain_uvicorn(service, processes):
        token = service.token("alice", secret)
        assert statuses(service, token) == {200}
        with junk_in(service.log):
            content = service.log.read_bytes()
            eventually(lambda: {ready(service)["log"].split(":")[0] for _ in range(8)} == {"not what was signed"})
            assert statuses(service, token) == {503}
            assert service.log.read_bytes() == content
        eventually(lambda: statuses(service, token) == {200})
    assert service.verify()["ok"]
    assert [one["action"] for one in service.records()].count("log.recovered") == 0


def test_an_operators_command_writes_nothing_beside_a_closed_service(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service:
        with junk_in(service.log):
            content = service.log.read_bytes()
            assert "by a stranger" in service.run("clients", "add", "bob", "--role", "ai.playground.user", status=None).stderr
            assert service.log.read_bytes() == content
        eventually(lambda: HTTP.get(service.url + "/readyz").status_code == 200)
        service.add_client("bob")


def test_a_worker_that_starts_while_the_log_is_closed_refuses_too(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url) as service:
        token = service.token("alice", service.add_client())
        with junk_in(service.log):
            eventually(lambda: HTTP.get(service.url + "/readyz").status_code == 503)
            os.kill(service.worker_pids()[0], signal.SIGKILL)
            eventually(lambda: len(service.worker_pids()) == 2)
            assert statuses(service, token) == {503}
        eventually(lambda: statuses(service, token) == {200})


def test_a_notary_that_hangs_is_told_and_one_that_goes_on_too(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url) as service:
        token = service.token("alice", service.add_client())
        eventually(lambda: is_signed(service))
        notary = service.notary_pid()
        os.kill(notary, signal.SIGSTOP)
        try:
            began = time.monotonic()
            eventually(lambda: ready(service)["signing"].startswith("stands still"))
            assert time.monotonic() - began > STILL_SECONDS - 1
            eventually(lambda: "notary_stands_still" in events(service))
            assert statuses(service, token) == {200}, "it is off the road of a question"
        finally:
            os.kill(notary, signal.SIGCONT)
        eventually(lambda: ready(service)["signing"] == "up to date")
        eventually(lambda: "notary_moves_again" in events(service))
        assert events(service).count("notary_stands_still") == 1
