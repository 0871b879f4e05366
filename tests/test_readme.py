"""The README's walk-through is what it says: its blocks are run as they stand, but for port and interpreter."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .fake_openai import FakeOpenAI
from .optional import leave_out
from .service import free_port

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(section: str) -> list[str]:
    """The shell blocks below a heading."""
    text = README.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def test_the_curl_walk_through_ends_with_a_verified_receipt(tmp_path: Path, fake: FakeOpenAI) -> None:
    if shutil.which("curl") is None:
        leave_out("there is no curl (Debian: apt-get install curl)")
    port = str(free_port())
    (walk,), (by_hand,) = blocks("With curl"), blocks("What an auditor holds, and what it shows")
    script = "set -eu\n" + (walk + by_hand).replace("make install\n", "").replace(".venv/bin/python", sys.executable)
    script = script.replace("8000", port).replace("python3 ", f"{sys.executable} ")
    env = {"PATH": os.environ["PATH"], "OPENAI_BASE_URL": fake.base_url, "LANG": "C.UTF-8"}
    shell = subprocess.Popen(
        ["bash", "-c", script], cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        # The service in the background holds the pipes open, so the script's own end is waited for.
        assert shell.wait(90) == 0
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        output, errors = (text.decode() for text in shell.communicate(timeout=60))
    assert json.loads((tmp_path / "answer.json").read_text())["receipt"]["seq"] == 4, errors
    assert "OK: 5 records" in output
    stored, computed = output.split()[-2:]
    assert stored == computed
    assert len(stored) == 64


def test_every_file_that_the_table_names_is_there() -> None:
    table = README.split("\n## Where is what\n", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"`(app/[a-z_/]+(?:\.py)?)`", table)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_make_target_and_command_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)) <= targets
