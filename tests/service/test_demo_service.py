"""The demo's commands see no setting of the user's, and their failures name the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.demo_service import DemoService
from app.errors import ConfigError


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DemoService:
    monkeypatch.setenv("AUDIT_LOG_PATH", "/nowhere/log.jsonl")
    return DemoService(tmp_path)


def test_settings_of_the_user_are_left_out_and_given_ones_count(service: DemoService) -> None:
    assert service.command("init")["audit_log"] == "logs/audit_log.jsonl"
    assert service.log.exists()
    with pytest.raises(ConfigError, match="AUDIT_LOG_PATH"):
        service.command("audit", "verify", AUDIT_LOG_PATH="logs")


def test_a_server_that_does_not_start_shows_its_output(service: DemoService) -> None:
    with service.running(), pytest.raises(ConfigError, match=r"(?s)did not start:.*python -m app init"):
        service.wait_until_ready()
