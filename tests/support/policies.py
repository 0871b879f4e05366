"""Policy files as tests write them, and the sentences with which one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.catalogue.models import Catalogue
from app.catalogue.policy_file import read_policy
from app.errors import ConfigError

from .caps import CAPS

LAB = "[servers.lab]\nbase_url = 'http://127.0.0.1:9/v1'\n"
SMALL = "[models.small]\nserver = 'lab'\n"


def read(file: Path, text: str | bytes, **environment: str) -> Catalogue:
    """Write *text* to *file*, and read it as the service does."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_policy(file, environment, CAPS, frozenset({"user"}))


def refusal(file: Path, text: str | bytes, **environment: str) -> list[str]:
    """The sentences with which it is refused, without the name of the file."""
    with pytest.raises(ConfigError) as refused:
        read(file, text, **environment)
    lines = refused.value.detail.splitlines()
    assert all(line.startswith(f"Policy file {file}") and line.endswith(".") for line in lines), lines
    return [line.removeprefix(f"Policy file {file}").lstrip(": ") for line in lines]
