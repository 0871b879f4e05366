"""MODELS_FILE at the start: what prevents it, what works without the models' keys, what a restarted worker reads."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from ..support.fake_openai import FakeOpenAI
from ..support.service import Service
from ..support.waiting import eventually

MODELS = """
[servers.lab]
base_url = "{base_url}"
api_key_env = "LAB_KEY"
[models.small]
server = "lab"
"""


def service_with(folder: Path, models: str) -> Service:
    (folder / "models.toml").write_text(models)
    return Service(folder / "service", MODELS_FILE=str(folder / "models.toml"), LLM_MODEL="small")


def test_a_bad_models_file_stops_the_start_and_no_other_command(tmp_path: Path) -> None:
    service = service_with(tmp_path, MODELS.format(base_url="http://127.0.0.1:9/v1"))
    assert service.verify()["ok"], "init and commands on the log need no model's key"
    service.add_client("alice")
    for sentence in ("api_key_env names an environment variable that is not set", "LLM_MODEL, which /ask uses, is no model"):
        ended = service.run("serve", "--port", "0", status=2)
        assert sentence in ended.stderr
        assert "Traceback" not in ended.stderr
        service.env |= {"LAB_KEY": "sk-planted", "LLM_MODEL": "large"}


def test_a_restarted_worker_has_the_models_that_the_start_read(tmp_path: Path, fake: FakeOpenAI) -> None:
    service = service_with(tmp_path, MODELS.format(base_url=fake.base_url))
    service.env["LAB_KEY"] = "sk-planted"
    with service:
        token = service.token("alice", service.add_client("alice"))
        (tmp_path / "models.toml").unlink()
        (old,) = service.worker_pids()
        os.kill(old, signal.SIGKILL)
        eventually(lambda: service.worker_pids() not in ([], [old]))
        service.wait_ready()
        assert service.ask(token).json()["model"] == "small"
