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

from ..support.fake_openai import FakeOpenAI
from ..support.optional import leave_out
from ..support.paths import ROOT
from ..support.service import Service, free_port

README = (ROOT / "README.md").read_text()


def blocks(section: str) -> list[str]:
    """The shell blocks below a heading."""
    text = README.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def test_the_curl_walk_through_ends_with_a_verified_receipt(tmp_path: Path, fake: FakeOpenAI) -> None:
    if shutil.which("curl") is None:
        leave_out("there is no curl (Debian: apt-get install curl)")
    port = str(free_port())
    (walk,), (streams,), (by_hand,) = map(
        blocks, ("With curl", "With any OpenAI client", "What an auditor holds, and what it shows")
    )
    script = "set -eu\nMODEL=gpt-4o-mini\n" + (walk + streams + by_hand).replace("make install\n", "").replace(
        ".venv/bin/python", sys.executable
    )
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
    assert "data: [DONE]" in output
    assert "event: done" in output
    stored, computed = output.split()[-2:]
    assert stored == computed
    assert len(stored) == 64


def test_the_lines_for_an_openai_client_are_what_they_say(service: Service, token: str) -> None:
    section = README.split("\n## With any OpenAI client\n", 1)[1].split("\n## ", 1)[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    code = f"TOKEN = {token!r}\n" + code.replace("http://localhost:8000", service.url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "echo" in done.stdout
    receipt = service.records()[-1]
    assert done.stdout.endswith(f"{{'seq': {receipt['seq']}, 'hash': '{receipt['hash']}'}}\n")


def test_every_file_that_the_table_names_is_there() -> None:
    table = README.split("\n## Where is what\n", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"`(app/[a-z_/]+(?:\.py)?)`", table)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_make_target_and_command_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", README, re.MULTILINE)) <= targets
