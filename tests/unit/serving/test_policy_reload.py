"""A models file that is read again: recorded before it is published, or nothing is changed and everybody is told."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.catalogue.models import Catalogue
from app.serving import policy_reload
from app.serving.policy_reload import CHANGED, UNCHANGED, reload_policy
from app.serving.shared_parts import SharedPolicy
from app.settings import load_settings
from app.wiring.catalogue import read_catalogue

from ...support import installation
from ...support.clean_settings import use_defaults
from ...support.pipes import pipe_without_writer
from ...support.shared_policies import shared_policy

MODELS = '[servers.lab]\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "LAB_KEY"\n[models.small]\nserver = "lab"\n'
MORE = MODELS + '[models.large]\nserver = "lab"\n'


@dataclass
class Desk:
    """An installation with a models file, and what its workers would take."""

    settings: bytes
    policy: SharedPolicy

    def reload(self) -> int:
        return reload_policy(self.settings, self.policy)

    def published(self) -> Catalogue:
        found = pickle.loads(self.policy.read())
        assert isinstance(found, Catalogue)
        return found

    def changes(self) -> list[dict[str, Any]]:
        records = [json.loads(line) for line in installation.LOG.read_bytes().splitlines()]
        return [record["details"] for record in records if record["action"] == "policy.changed"]

    def events(self) -> list[str]:
        return [line.split(" ", 1)[1] for line in Path("logs/security.log").read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    use_defaults(monkeypatch, tmp_path)
    Path("models.toml").write_text(MODELS)
    Path(".env").write_text("LAB_KEY=sk-first\n")
    monkeypatch.setenv("MODELS_FILE", "models.toml")
    monkeypatch.setenv("LLM_MODEL", "small")
    installation.init()
    settings = load_settings()
    with shared_policy(pickle.dumps(read_catalogue(settings))) as policy:
        yield Desk(pickle.dumps(settings), policy)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_change_is_recorded_and_published(desk: Desk) -> None:
    Path("models.toml").write_text(MORE)
    assert desk.reload() == CHANGED
    assert list(desk.published().models) == ["small", "large"]
    [change] = desk.changes()
    wanted = {"file": "models.toml", "sha256": digest(MORE), "previous": digest(MODELS), "by": "operator"}
    assert list(change.items()) == list(wanted.items())
    assert desk.events() == [f"INFO policy_changed sha256={digest(MORE)}"]
    assert desk.reload() == UNCHANGED
    assert desk.events()[1:] == [f"INFO policy_unchanged sha256={digest(MORE)}"]


def test_another_key_in_the_file_of_settings_is_a_change_too(desk: Desk) -> None:
    Path(".env").write_text("LAB_KEY=sk-second\n")
    assert desk.reload() == CHANGED
    assert desk.published().models["small"].server.api_key == "sk-second"
    assert desk.changes()[0]["sha256"] == desk.changes()[0]["previous"] == digest(MODELS)
    assert "sk-second" not in str(desk.events()) + installation.LOG.read_text()


@pytest.mark.parametrize("text", ["[models", MODELS.replace("small", "other"), MODELS.replace("LAB_KEY", "NO_KEY")])
def test_a_file_that_cannot_be_used_changes_nothing(desk: Desk, text: str, caplog: pytest.LogCaptureFixture) -> None:
    before = desk.policy.read()
    Path("models.toml").write_text(text)
    assert desk.reload() == UNCHANGED
    assert (desk.policy.read(), desk.changes()) == (before, [])
    [event] = desk.events()
    assert event.startswith("ERROR policy_not_changed reason=")
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("The policy file was read again and nothing is changed: ")


def test_a_server_that_no_worker_could_open_changes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    azure = '[servers.azure]\nlangchain = "azure_openai"\nbase_url = "http://127.0.0.1:9"\n[models.large]\nserver = "azure"\n'
    Path("models.toml").write_text(MODELS + azure)
    assert desk.reload() == UNCHANGED
    assert desk.changes() == []
    assert "cannot be made" in desk.events()[-1]


def test_a_change_that_cannot_be_recorded_is_not_published(desk: Desk) -> None:
    before = desk.policy.read()
    Path("models.toml").write_text(MORE)
    installation.LOG.rename("away")
    assert desk.reload() == UNCHANGED
    assert desk.policy.read() == before
    assert desk.events()[-1].startswith("ERROR policy_not_changed reason=")


@pytest.mark.slow
def test_a_pipe_that_nobody_writes_to_changes_nothing_and_is_given_up(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would hold up every later SIGHUP."""
    monkeypatch.setattr(policy_reload, "READ_SECONDS", 1)
    with pipe_without_writer(Path("models.toml")):
        assert desk.reload() == UNCHANGED
    assert list(desk.published().models) == ["small"]
    assert "could not be read within 1 s" in desk.events()[-1]
    Path("models.toml").unlink()
    Path("models.toml").write_text(MORE)
    assert desk.reload() == CHANGED
