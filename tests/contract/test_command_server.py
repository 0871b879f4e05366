"""A command that the suite forks ends as the same command that a user starts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..support.command_server import run_forked

pytestmark = pytest.mark.slow

Run = Callable[[list[str], Path, dict[str, str]], "subprocess.CompletedProcess[str]"]


def run_started(words: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "app", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def seen(run: Run, folder: Path) -> list[Any]:
    """What is left of three commands, without what is new each time."""
    folder.mkdir()
    environment = {"PATH": "/usr/bin:/bin", "SECRET_KEY": "s" * 43, "AUDIT_ORIGIN": "example.com/log"}
    found: list[Any] = []
    for words in (["init", "--json"], ["clients", "add", "alice"], ["clients", "add", "alice", "--json"], ["clients"]):
        done = run(words, folder, environment)
        shape = sorted(json.loads(done.stdout)) if "--json" in words else len(done.stdout.splitlines())
        found.append((done.returncode, shape, done.stderr.replace(str(folder), "")))
    files = sorted(path for path in folder.rglob("*"))
    return [found, [(path.relative_to(folder), oct(path.stat().st_mode)) for path in files]]


def test_a_forked_command_does_and_says_the_same(tmp_path: Path) -> None:
    assert seen(run_forked, tmp_path / "forked") == seen(run_started, tmp_path / "started")
