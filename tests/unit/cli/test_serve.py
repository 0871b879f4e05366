"""`serve` gives its process to the parent of the workers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ...support.commands import Run


def test_serve_replaces_the_process_by_a_fresh_interpreter(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    os.environ.pop("MALLOC_MMAP_THRESHOLD_", None)
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, argv: commands.append(argv))
    assert run("serve", "--port", "9", "--workers", "2", "--json") == 0
    assert commands == [[sys.executable, "-m", "app.serving.parent", "127.0.0.1", "9", "2", "--json"]]
    assert os.environ["MALLOC_MMAP_THRESHOLD_"] == "65536"
    assert os.environ["SECURE_AI_COMMAND"] == "python -m app", "the service's messages name the same command"


@pytest.mark.parametrize(("line", "form"), [("LOG_FORMAT=json\n", "json"), ("", None)])
def test_the_form_of_its_output_holds_from_the_first_line(
    line: str, form: str | None, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(line)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    monkeypatch.setattr(os, "execv", lambda program, argv: None)
    assert run("serve") == 0
    assert os.environ.get("LOG_FORMAT") == form
