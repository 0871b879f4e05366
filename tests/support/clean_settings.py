"""An environment in which every setting has its default."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.settings import Settings

SETTINGS = {name.upper() for name in Settings.model_fields}
SECRET = "a-real-secret-of-forty-three-characters-000"


def use_defaults(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Change to the empty *folder* and remove every setting but a secret key from the environment."""
    for name in os.environ:
        if name.upper() in SETTINGS:
            monkeypatch.delenv(name)
    monkeypatch.setenv("SECRET_KEY", SECRET)
    monkeypatch.chdir(folder)
