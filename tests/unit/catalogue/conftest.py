"""What the tests of the policy file share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy file in the current folder, named without it."""
    monkeypatch.chdir(tmp_path)
    return Path("policy.toml")
