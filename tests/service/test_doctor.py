"""`doctor` beside a running service: no trouble, nothing recorded; and what it says when the model's server is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service


def said(service: Service, status: int) -> dict[str, dict[str, Any]]:
    checks = json.loads(service.run("doctor", "--json", status=status).stdout)["checks"]
    return {check["about"]: check for check in checks}


def test_a_running_service_is_left_as_it_is(tmp_path: Path, fake: FakeOpenAI) -> None:
    with Service(tmp_path, OPENAI_BASE_URL=fake.base_url) as service:
        token = service.token("alice", service.add_client())
        assert service.ask(token).status_code == 200
        asked, before = fake.calls(), len(service.records())
        found = said(service, 0)
        assert found["locks"]["says"].endswith("a service runs on this log.")
        assert found["servers"]["says"].endswith("takes connections.")
        assert {check["state"] for check in found.values()} <= {"ok", "note"}
        assert (fake.calls(), len(service.records())) == (asked, before)
        assert service.ask(token).status_code == 200


def test_a_server_that_is_gone_is_told_with_status_1(tmp_path: Path) -> None:
    service = Service(tmp_path, OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    found = said(service, 1)
    assert found["servers"]["state"] == "trouble"
    assert found["log"]["state"] == "ok"
