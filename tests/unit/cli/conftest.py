"""Commands run in this process, as `python -m app` runs them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.cli import main

from ...support.commands import Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `python -m app …` in this process, in an empty folder; its exit status."""
    monkeypatch.chdir(tmp_path)
    for name in ("TOKEN", "URL", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"SECURE_AI_{name}", raising=False)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["app", *arguments])
        with pytest.raises(SystemExit) as end:
            main.main()
        return int(end.value.code or 0)

    return run
