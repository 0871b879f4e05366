"""A command that a message names is the one that the reader has called."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from app.kit.command import as_documented, command


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SECURE_AI_COMMAND", "SECURE_AI_SERVE_COMMAND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["python3", "-m", "app", "init"], "python3 -m app"),
        ([".venv/bin/python", "-P", "-m", "app", "clients", "list"], ".venv/bin/python -P -m app"),
        (["/my folder/python", "-m", "app"], "'/my folder/python' -m app"),
        (["/x/python", ".venv/bin/secure-ai-assistant", "init"], ".venv/bin/secure-ai-assistant"),
        (["/x/python", "-m", "pytest", "app"], "python -m app"),
        (["/x/python", "-c", "import app"], "python -m app"),
        (["/x/python", "-m"], "python -m app"),
        (["uvicorn"], "python -m app"),
    ],
)
def test_it_is_the_name_that_the_program_was_called_by(argv: list[str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", argv)
    assert command("audit tail") == f"{name} audit tail"


def test_a_script_on_the_path_needs_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "secure-ai-assistant"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "orig_argv", ["/x/python", str(script), "init"])
    assert command("serve") == f"{script} serve"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert command("serve") == "secure-ai-assistant serve"


def test_what_the_environment_says_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURE_AI_COMMAND", "docker compose run --rm assistant")
    assert command("init") == "docker compose run --rm assistant init"
    assert command("serve") == "docker compose run --rm assistant serve"
    monkeypatch.setenv("SECURE_AI_SERVE_COMMAND", "docker compose up")
    assert command("serve") == "docker compose up"


def test_a_reader_elsewhere_is_told_no_path_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECURE_AI_COMMAND", "'/my folder/python' -m app")
    said = f"Nothing is named so: {command('keys list')} shows all, {command('keys add')} adds one."
    assert as_documented(said) == "Nothing is named so: python -m app keys list shows all, python -m app keys add adds one."
