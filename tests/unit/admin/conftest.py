"""A folder that nothing was set up in yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...support.clean_settings import use_defaults
from ...support.installation import ORIGIN


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    use_defaults(monkeypatch, tmp_path)
    monkeypatch.setenv("AUDIT_ORIGIN", ORIGIN)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    return tmp_path
