"""LOG_FORMAT=json: every line that any process of the service writes is one JSON object."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service, free_port
from ..support.waiting import eventually


def lines(service: Service) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (service.folder / "serve.log").read_text().splitlines()]


def test_every_process_writes_json_from_its_first_line_to_its_last(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = Service(tmp_path, workers=2, OPENAI_BASE_URL=fake.base_url, METRICS_PORT=str(free_port()))
    with (service.folder / ".env").open("a") as file:
        file.write("\nLOG_FORMAT=json\n")
    with service:
        os.kill(service.worker_pids()[0], signal.SIGKILL)
        eventually(lambda: any("it is started again" in one["message"] for one in lines(service)))
        service.wait_ready()
        token = service.token("alice", service.add_client())
        fake.set(mode="garbage")
        assert service.ask(token).status_code == 502
        fake.reset()
    found = lines(service)
    assert Counter(one["message"].startswith("Serving on ") for one in found)[True] == 1
    assert {one["level"] for one in found} <= {"INFO", "WARNING", "ERROR"}
    assert any(one["logger"] == "uvicorn.error" for one in found)
    assert any(one["process"] == "worker" for one in found)
    assert found[-1]["message"] == "Stopping: what is in flight is finished first." or found[-1]["process"] == "worker"


def test_a_refused_start_is_json_too(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = Service(tmp_path, OPENAI_BASE_URL=fake.base_url, LOG_FORMAT="json")
    service.env["RATE_LIMIT"] = "0"
    done = service.run("serve", "--port", "0", status=2)
    assert any("RATE_LIMIT" in json.loads(line)["message"] for line in done.stderr.splitlines())


def test_another_form_is_refused_by_name(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = Service(tmp_path, OPENAI_BASE_URL=fake.base_url)
    service.env["LOG_FORMAT"] = "xml"
    assert "LOG_FORMAT takes text or json." in service.run("serve", "--port", "0", status=2).stderr
