"""Fixtures of the tests of clients and credentials: asyncio alone, and a client database of each test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from ...support.client_database import make_database


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "clients.sqlite3")
